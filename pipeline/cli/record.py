"""``sightline record`` and ``replay``: what a stage handed on, and one stage run on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

import pipeline
from pipeline.cli.options import Config, Set
from pipeline.errors import DataError, GraphError
from pipeline.graph import Graph
from pipeline.packet import Packet
from pipeline.parity import StageParity, difference
from pipeline.recording.file import About, Recording, RecordingWriter
from pipeline.recording.replay import replay
from pipeline.recording.sink import recording_graph

Out = Annotated[Path, typer.Option("-o", "--output", help="Where the recording goes.")]


def record_command(
    config: Config,
    at: Annotated[str, typer.Option(help="The stage whose results are kept, or decode.")],
    output: Out,
    set_: Set = None,
) -> None:
    """Runs a configuration up to one stage and keeps what that stage hands on."""
    graph = recording_graph(pipeline.build(pipeline.load(config, set_ or ())), at, output)
    report = pipeline.run(graph)
    typer.echo(f"{report.emitted} frames of what {at!r} gives in {output}")


def replay_command(
    recording: Annotated[Path, typer.Argument(help="As `sightline record` wrote it.")],
    config: Config,
    stage: Annotated[str, typer.Option(help="The stage to run.")],
    set_: Set = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Keeps what the stage gives.")
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(help="For kalman: a recording of screening, which gives the tracks back."),
    ] = None,
    expect: Annotated[
        Path | None, typer.Option(help="A recording of what the stage should give.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
) -> None:
    """Runs a single stage on a recording, for instance on another engine, and compares."""
    graph = pipeline.build(pipeline.load(config, set_ or ()))
    found = StageParity(stage)
    with ExitStack() as stack:
        given = stack.enter_context(Recording(recording))
        back = stack.enter_context(Recording(feedback)) if feedback else None
        results: Iterator[Packet[Any]] = islice(replay(graph, stage, given, back), frames)
        if output is not None:
            results = _kept(results, graph, stage, output)
        wanted = stack.enter_context(Recording(expect)).packets() if expect else None
        for packet in results:
            other = next(wanted, None) if wanted else packet
            if other is None:
                raise DataError(f"{expect}: it ends before {recording}")
            found.add(difference(other, packet))
    if expect is None:
        typer.echo(f"{stage}: {found.frames} frames")
        return
    largest = ", ".join(f"{what} {value:.2g}" for what, value in found.largest.items())
    typer.echo(f"{stage}: {found.differing} of {found.frames} frames differ; {largest}")
    if found.differing:
        raise typer.Exit(1)


def _kept(
    packets: Iterator[Packet[Any]], graph: Graph, stage: str, path: Path
) -> Iterator[Packet[Any]]:
    """The same packets, written to a recording on the way."""
    produces = graph.node(stage).stage.produces
    if produces is None:
        raise GraphError(f"{stage!r} is an output; it hands nothing on")
    writer = RecordingWriter(path, About(stage, produces.__name__))
    try:
        for packet in packets:
            writer.write(packet)
            yield packet
        writer.finish()
    finally:
        writer.discard()

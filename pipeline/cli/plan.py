"""``sightline plan``: which stage on which engine, measured and proved."""

from __future__ import annotations

import json as json_text
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

import pipeline
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Config, Json, Set
from pipeline.errors import DataError
from pipeline.placing.candidates import HOST
from pipeline.placing.proposal import Contender, Proposal
from pipeline.placing.proposing import ROUNDS, Wishes, propose
from pipeline.placing.rewriting import rewritten, write
from pipeline.placing.survey import Row


class For(StrEnum):
    """What counts."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"


def command(
    config: Config,
    set_: Set = None,
    goal: Annotated[
        For,
        typer.Option(
            "--for",
            help="Frames a second, all cameras together; or the time from a decoded frame's "
            "entrance to its end, where no other is under way.",
        ),
    ] = For.THROUGHPUT,
    stages: Annotated[
        str, typer.Option(help="To be placed, with commas between; those with a network.")
    ] = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=ENGINE,…",
            help=f"The only engines for a stage ({HOST}: plain code); may be given again.",
        ),
    ] = None,
    precision_change: Annotated[
        bool,
        typer.Option(
            "--allow-precision-change",
            help="A stage may compute in another precision than now, such as int8.",
        ),
    ] = False,
    frames: Annotated[
        int, typer.Option(min=2, help="To measure with, of all cameras together.")
    ] = 60,
    rounds: Annotated[int, typer.Option(min=ROUNDS, help="Of the proof.")] = ROUNDS,
    seconds: Annotated[float, typer.Option(min=0, help="Of each run of the proof.")] = 1.5,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Copies of a stage at most; one a core.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The configuration with the placement proposed."),
    ] = None,
    json: Json = False,
) -> None:
    """Proposes which stage runs on which engine, and proves it beside the configuration as it is.

    Each stage is measured alone on each engine that can run it, with frames of the configuration's
    own cameras. The best placements on paper are then run in turn with the one written. Nothing
    goes to the outputs.
    """
    overrides = set_ or []
    if output is not None and not output.parent.is_dir():
        raise DataError(f"-o {output}: there is no folder {output.parent}; make it first")
    checked = pipeline.load(config, overrides)
    text = config.read_text(encoding="utf-8")
    names = tuple(filter(None, (name.strip() for name in stages.split(","))))
    wishes = Wishes(
        goal.value, names, tuple(allow or ()), precision_change, frames, rounds, seconds, workers
    )
    found = propose(checked, wishes, lambda said: typer.echo(said, err=True))
    if json:
        typer.echo(json_text.dumps(found.to_json()))
    else:
        _print(found)
    if output is not None:
        chosen = found.chosen
        changes = chosen.changes if chosen else ()
        write(output, rewritten(text, changes), chosen.config if chosen else checked, overrides)


def _print(found: Proposal) -> None:
    if measured := [row for row in found.rows if row.found]:
        console().print(_stages(measured))
    for row in found.rows:
        if row.found is None:
            typer.echo(f"{row.stage} on {row.engine or HOST}: {row.remark}")
    chosen, fastest = found.chosen, found.fastest
    if chosen is None or fastest is None:
        typer.echo("nothing to choose: no stage has another engine that can run it")
        return
    console().print(_placements(found))
    typer.echo(f"expected with {found.processors:.2g} processors, as many as there were meanwhile")
    if fastest is not chosen:
        typer.echo(f"not surely faster than what is written: {_named(fastest)}")
    if chosen.against is None:
        typer.echo("proposed: what is written")
        return
    typer.echo(f"proposed: {_named(chosen)}, {_times(chosen)} as fast as what is written")
    typer.echo(f"  {' '.join(f'--set {change}' for change in chosen.changes)}")


def _stages(rows: Sequence[Row]) -> Table:
    """A line for each stage on each engine that runs it."""
    found = [(row, row.found) for row in rows if row.found]
    counts = sorted({count for _, one in found for count in one.ms})
    table = Table(
        "stage", "engine", "precision",
        *numbers(*(f"ms ×{count}" for count in counts), "CPU ms", "own CPU ms", "MB"),
        "",
        box=SIMPLE_HEAD,
    )  # fmt: skip
    for row, one in found:
        remarks = ("as written" * row.written, row.precision_change, row.remark)
        table.add_row(
            row.stage,
            row.engine or HOST,
            one.precision,
            *(f"{one.ms[count]:.2f}" if count in one.ms else "" for count in counts),
            f"{one.cpu_ms:.2f}",
            f"{one.thread_ms:.2f}",
            f"{one.moved_bytes / 1e6:.2f}" if one.moved_bytes else "",
            ", ".join(filter(None, remarks)),
        )
    return table


def _placements(found: Proposal) -> Table:
    """A line for each placement that was run."""
    throughput = found.goal == "throughput"
    unit = "frames/s" if throughput else "ms"
    table = Table(
        "placement", *numbers(f"expected {unit}", f"measured {unit}"),
        "beside what is written", "expected limit", box=SIMPLE_HEAD,
    )  # fmt: skip
    for one in found.contenders:
        expected = one.expected.fps if throughput else one.expected.latency_ms
        measured = "" if one.ms is None else f"{1e3 / one.ms if throughput else one.ms:.1f}"
        beside = one.error or (_times(one) if one.against else "it is that")
        limit = one.expected.limit if throughput else ""
        table.add_row(_named(one), f"{expected:.1f}", measured, beside, limit)
    return table


def _named(one: Contender) -> str:
    said = [f"{stage} on {option}" for stage, option in one.placement.items()]
    changed = [f"{stage} in {change}" for stage, change in one.precisions.items()]
    return ", ".join(said) + (f" ({', '.join(changed)})" if changed else "")


def _times(one: Contender) -> str:
    """How many times as fast as what is written, with the interval."""
    assert one.against is not None
    pair = one.against
    return f"{pair.speedup:.2f} times ({pair.low:.2f} to {pair.high:.2f})"

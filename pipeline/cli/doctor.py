"""``sightline doctor``: whether this machine is fit to run, and what to do where it is not."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

import pipeline
from engines import EngineError, registry
from pipeline.cli.check import require_sources
from pipeline.cli.console import console
from pipeline.cli.options import Json, Set
from pipeline.config import PipelineConfig
from pipeline.doctor import cameras, clock, deployment, ffmpeg, limits, software
from pipeline.doctor.check import Check, Grade
from pipeline.errors import SightlineError
from pipeline.graph import Graph

_STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


def command(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML configuration.", show_default=False)
    ] = None,
    set_: Set = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Asks the network: cameras, and names of receivers.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="With --connect: for all cameras together, seconds.")
    ] = 10.0,
    json: Json = False,
) -> None:
    """Looks at what is installed and allowed here, and at what a configuration needs.

    Nothing is started or written, and without --connect nothing is asked of the network. Exits with
    1 where something would fail.
    """
    checks = list(_software())
    checked, found = (None, []) if config is None else _configuration(config, set_ or ())
    checks += limits.check(limits.read(), len(checked[0].cameras) if checked else 1)
    checks += clock.check(clock.read())
    checks += found
    if checked is not None:
        checks += _deployment(*checked, ask=connect)
        if connect:
            awake = {camera.id for camera in checked[0].cameras if not camera.paused}
            checks += cameras.connect([c for c in checked[1].cameras if c.id in awake], timeout)
    if json:
        typer.echo(json_text.dumps([asdict(check) for check in checks], ensure_ascii=False))
    else:
        _print(checks)
    raise typer.Exit(any(check.grade is Grade.FAIL for check in checks))


def _software() -> Iterator[Check]:
    yield software.python(sys.version_info[:3])
    yield from software.modules(software.versions())
    yield from ffmpeg.check(ffmpeg.loaded())
    yield from software.engines(registry.describe())


def _configuration(
    path: Path, changes: Sequence[str]
) -> tuple[tuple[PipelineConfig, Graph] | None, list[Check]]:
    """The configuration and its graph, if it is right, and what is to say about it."""
    secrets = deployment.check_secrets(path)
    try:
        config = pipeline.load(path, changes)
        graph = pipeline.build(config)
        require_sources(config, graph)
    except (SightlineError, EngineError) as error:
        problem = Check("configuration", Grade.FAIL, str(error), "correct it where it says")
        return None, [problem, *secrets]
    found = f"cameras: {len(graph.cameras)}; stages and outputs: {len(graph.nodes)}"
    return (config, graph), [Check("configuration", Grade.OK, found), *secrets]


def _deployment(config: PipelineConfig, graph: Graph, *, ask: bool) -> Iterator[Check]:
    yield from deployment.check_port(config)
    yield from deployment.check_places(deployment.places(config))
    yield from deployment.check_receivers(config, ask=ask)


def _print(checks: Sequence[Check]) -> None:
    table = Table("", "checked", "found", "remedy", box=SIMPLE_HEAD)
    for check in checks:
        grade = Text(check.grade.value, _STYLES[check.grade])
        table.add_row(grade, check.name, check.found, check.remedy)
    console().print(table)

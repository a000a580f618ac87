"""``sightline parity``: the same frames through two bindings, stage by stage."""

from __future__ import annotations

import json as json_text
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

import pipeline
from pipeline.cli.binding import bound
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Config, Json, Set
from pipeline.parity import Parity, compare

Side = Annotated[str, typer.Argument(help="An engine of the configuration, or a backend.")]


def command(
    one: Side,
    other: Side,
    config: Config,
    set_: Set = None,
    stages: Annotated[
        str, typer.Option(help="To be bound, such as backbone,roi_head; those with an engine.")
    ] = "",
    frames: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    min_ap50: Annotated[
        float, typer.Option(min=0, max=1, help="Fails where the detections agree less.")
    ] = 0.0,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone", help="Each stage of OTHER gets what ONE's stages gave: its error alone."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Runs a configuration with its networks on one engine and on another, and compares.

    Names the first stage that differs and by how much, up to detections (AP50 of the second with
    the first as truth) and tracks. The configuration's outputs are not written.
    """
    if alone and min_ap50:
        raise typer.BadParameter("there is no AP50 of stages that run alone", param_hint="--alone")
    chosen = [name.strip() for name in stages.split(",") if name.strip()]
    left, right = (
        pipeline.build(bound(config, set_ or [], engine, stages=chosen)) for engine in (one, other)
    )
    found = compare(left, right, frames, alone=alone)
    if json:
        typer.echo(json_text.dumps(found.to_json()))
    else:
        _print(found, one, other)
    if found.ap50 is not None and found.ap50 < min_ap50:
        raise typer.Exit(1)


def _print(found: Parity, one: str, other: str) -> None:
    table = Table("stage", *numbers("frames", "differ"), "largest differences", box=SIMPLE_HEAD)
    for stage in found.stages:
        largest = ", ".join(f"{what} {value:.2g}" for what, value in stage.largest.items())
        table.add_row(stage.stage, str(stage.frames), str(stage.differing), largest)
    console().print(table)
    first = found.first
    typer.echo(
        f"{other} gives what {one} gives, within the tolerances"
        if first is None
        else f"the first stage that differs is {first.stage}: {first.differing} of {first.frames} "
        "frames"
    )
    if found.ap50 is not None:
        typer.echo(f"detections of {other} against those of {one}: AP50 {found.ap50:.4f}")
    if found.tracks:
        scores = ", ".join(f"{name} {value:.4g}" for name, value in found.tracks.items())
        typer.echo(f"tracks of {other} against those of {one}: {scores}")

"""``sightline quant-report``: what fewer bits cost, from tensors to tracks."""

from __future__ import annotations

import json as json_text
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.cli.binding import bound
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Config, Json, Set
from pipeline.cli.pages import write_page
from pipeline.config import PipelineConfig
from pipeline.errors import DataError
from pipeline.evaluation.preprocess import Benchmark
from pipeline.evaluation.report import parse_limits
from pipeline.quantisation.figures import judge, known_limits
from pipeline.quantisation.quant_page import quant_page
from pipeline.quantisation.quant_report import QuantReport, quant_report
from pipeline.quantisation.sides import Scoring
from pipeline.quantisation.truth import FileTruth, Truth, at_hand

_CAMERA = "{camera}"


def command(
    config: Config,
    candidate: Annotated[
        str, typer.Option(help="An engine of the configuration, or a backend, for every network.")
    ] = "",
    candidate_set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="As --set, of the candidate only."),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="As --candidate, of the reference; as configured if not given.")
    ] = "",
    set_: Set = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="MOTChallenge file, or its sequence's folder; {camera} for several."),
    ] = None,
    benchmark: Annotated[
        Benchmark,
        typer.Option(help="Whose rules decide which rows count.", case_sensitive=False),
    ] = Benchmark.SIMPLE,
    gt_scale: Annotated[
        float, typer.Option(min=0.01, help="Multiplies the boxes of --truth; for a resized video.")
    ] = 1.0,
    reid: Annotated[
        str, typer.Option(help="A ReID model to judge too; else that of the configuration.")
    ] = "",
    frames: Annotated[
        int | None, typer.Option(min=1, help="At most so many, over all cameras.")
    ] = None,
    max_drop: Annotated[
        list[str] | None,
        typer.Option(metavar="FIGURE=DROP", help="Exit with 1 if one drops by more: hota=1.0"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A page, HTML; readable offline.")
    ] = None,
    json: Json = False,
) -> None:
    """Runs a configuration on two engines, and says what the second one costs.

    Tensors, detections, embeddings and tracks of both over the same frames, against ground truth
    where there is some: --truth, or what lies beside a clip, or is rendered. AP, rank-1 and cosine
    are 0 to 1, the figures of tracks percent. The configuration's outputs are not written.
    """
    if not candidate and not candidate_set:
        raise typer.BadParameter("expected --candidate ENGINE or --candidate-set KEY=VALUE")
    limits = known_limits(parse_limits(max_drop or [], is_minimum=False))
    one = bound(config, set_ or [], reference)
    other = bound(config, set_ or [], candidate, candidate_set or [])
    scoring = Scoring(_truths(one, truth, gt_scale), benchmark, reid)
    found = quant_report(one, other, scoring, frames)
    verdicts = judge(found.figures, limits)
    if output is not None:
        changed = " ".join([candidate, *(candidate_set or [])]).strip()
        subject = f"{config.name}: {reference or 'as written'} → {changed}"
        write_page(output, quant_page(found, verdicts, subject))
    if json:
        typer.echo(json_text.dumps(found.to_json() | {"verdicts": [asdict(v) for v in verdicts]}))
    else:
        _print(found, limits)
    for verdict in verdicts:
        if verdict.complaint:
            typer.echo(verdict.complaint, err=True)
    if any(verdict.complaint for verdict in verdicts):
        raise typer.Exit(1)


def _truths(config: PipelineConfig, path: Path | None, scale: float) -> dict[str, Truth]:
    """The ground truth of each camera that has one."""
    if path is None:
        found = {camera.id: at_hand(camera.uri) for camera in config.cameras}
        return {camera: truth for camera, truth in found.items() if truth is not None}
    if len(config.cameras) > 1 and _CAMERA not in str(path):
        raise DataError(
            f"--truth {path}: there are {len(config.cameras)} cameras; write {_CAMERA} where its "
            "id goes in the path"
        )
    files = {c.id: Path(str(path).replace(_CAMERA, c.id)) for c in config.cameras}
    return {camera: FileTruth(file, scale) for camera, file in files.items()}


def _print(found: QuantReport, limits: Mapping[str, float]) -> None:
    for table in (_figures(found, limits), _tensors(found), _engines(found)):
        if table.row_count:
            console().print(table)
    truths = sorted(set(found.truths.values()))
    typer.echo(
        f"{found.frames} frames; ground truth: {', '.join(truths)}"
        if truths
        else f"{found.frames} frames; no ground truth: give --truth for AP50, rank-1, HOTA …"
    )
    for name, side in (("reference", found.reference), ("candidate", found.candidate)):
        for line in side.incidents:
            typer.echo(f"{name}: {line}")


def _figures(found: QuantReport, limits: Mapping[str, float]) -> Table:
    table = Table("figure", *numbers("reference", "candidate", "drop", "allowed"), box=SIMPLE_HEAD)
    for figure in found.figures:
        allowed = f"{limits[figure.name]:g}" if figure.name in limits else ""
        table.add_row(figure.name, *figure.texts, allowed)
    return table


def _tensors(found: QuantReport) -> Table:
    columns = numbers("frames", "largest error", "SNR dB", "cosine")
    table = Table("stage", "tensor", *columns, box=SIMPLE_HEAD)
    for (stage, name), error in found.tensors.items():
        runs = f"{error.runs}, {error.misfits} misfits" if error.misfits else f"{error.runs}"
        figures = f"{error.relative:.2%}", f"{error.snr_db:.1f}", f"{error.cosine:.6f}"
        table.add_row(stage, name, runs, *figures)
    return table


def _engines(found: QuantReport) -> Table:
    words = ("stage", "id", "backend", "device", "precision", "profile")
    table = Table("side", *words, *numbers("device ms"), box=SIMPLE_HEAD)
    for name, side in (("reference", found.reference), ("candidate", found.candidate)):
        for engine in side.engines:
            took = engine.get("device_s")
            facts = [str(engine.get(word, "")) for word in words]
            table.add_row(name, *facts, "" if took is None else f"{1e3 * took:.3f}")
    return table

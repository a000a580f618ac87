"""``sightline compile``: a network for a device, calibrated, measured there, and reported on."""

from __future__ import annotations

import json as json_text
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from engines.errors import OptionError
from engines.sim_npu.artefact import TARGET
from engines.sim_npu.compiler.calibration import METHODS
from engines.sim_npu.operators import ROUNDINGS
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Json
from pipeline.models.subject import subject
from pipeline.quantisation.bench import Listener, spoken
from pipeline.quantisation.compilation import Compilation, Wishes, compile_model
from pipeline.quantisation.inputs import FRAMES, Request
from pipeline.quantisation.quality import DetectorJudge, EmbedderJudge, TensorJudge

_AUTO = "auto"
_WORST, _FIGURES = 3, 4  # so many are shown


def command(
    model: Annotated[
        str,
        typer.Argument(help="A model's name or folder, or an ONNX file.", show_default=False),
    ],
    calibration: Annotated[
        str,
        typer.Option(
            metavar="VIDEO|FOLDER|…",
            help="A video, an image, a folder of images, rendered:…, a file of `sightline "
            "record`, or .npz files of recorded inputs.",
        ),
    ],
    target: Annotated[str, typer.Option(help=f"What it is compiled for: {TARGET}.")] = TARGET,
    profile: Annotated[
        str, typer.Option(help="Of the device: a name, or a YAML file.")
    ] = "hi3559a-nnie",
    boxes: Annotated[
        Path | None,
        typer.Option(help="MOTChallenge file of the boxes that crops are cut from, to embed."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="MOTChallenge file of what a detector should find in the calibration."),
    ] = None,
    gt_scale: Annotated[
        float, typer.Option(help="Multiplies the boxes of either; for a resized video.")
    ] = 1.0,
    classes: Annotated[
        str, typer.Option(help="Of a detector, those that count, such as person,car.")
    ] = "",
    frames: Annotated[
        int, typer.Option(min=1, help="Pictures that are taken; every third is held out.")
    ] = FRAMES,
    size: Annotated[
        str, typer.Option(help="WIDTHxHEIGHT where the network takes any; the picture's own.")
    ] = "",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Rows of recorded inputs that it takes at once.")
    ] = None,
    method: Annotated[
        str, typer.Option(help=f"Of calibration: {_AUTO}, {', '.join(METHODS)}.")
    ] = _AUTO,
    per_tensor: Annotated[
        bool | None,
        typer.Option(
            "--per-tensor/--per-channel", help="Scales of weights; the better if not given."
        ),
    ] = None,
    rounding: Annotated[
        str, typer.Option(help=f"{' or '.join(ROUNDINGS)}; float is that of ONNX.")
    ] = ROUNDINGS[0],
    keep_float: Annotated[
        str, typer.Option(help="Layers that stay on the host, such as Conv_0,Conv_7.")
    ] = "",
    min_quality: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of its quality that the network must keep; if not given, "
            f"{DetectorJudge.gate} of a detector's, {EmbedderJudge.gate} where it embeds, else "
            f"{TensorJudge.gate}.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Another file instead of the model's network.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="File of the artefact; if not given, where models find it."),
    ] = None,
    json: Json = False,
) -> None:
    """Compiles a network for a device, and measures there what eight bits cost.

    Of the calibration methods the best is taken; where it is not good enough, layers are left in
    float until it is. Exits with 1 if that does not help.
    """
    _require(target, [TARGET], "--target")
    _require(method, [_AUTO, *METHODS], "--method")
    _require(rounding, ROUNDINGS, "--rounding")
    wishes = Wishes(
        None if method == _AUTO else method,
        None if per_tensor is None else not per_tensor,
        rounding,
        frozenset(filter(None, keep_float.split(","))),
        tuple(filter(None, classes.split(","))) or None,
        min_quality,
    )
    request = Request(calibration, frames, boxes, truth, gt_scale, _size(size), batch)
    with _progress() as listener:
        made = compile_model(subject(model, weights), profile, request, wishes, out, listener)
    if json:
        facts = made.report | {"path": str(made.path), "page": str(made.page)}
        typer.echo(json_text.dumps(facts, ensure_ascii=False))
    else:
        _show(made)
    if not made.passed:
        raise typer.Exit(1)


def _require(value: str, known: list[str] | tuple[str, ...], option: str) -> None:
    if value not in known:
        raise OptionError(f"{option}: expected {' or '.join(known)}, got {value!r}")


def _size(text: str) -> tuple[int, int] | None:
    """``576x320`` as width and height."""
    if not text:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"--size: expected WIDTHxHEIGHT, such as 576x320, got {text!r}")
    return int(width), int(height)


@contextmanager
def _progress() -> Iterator[Listener]:
    """What is being done, on a terminal; nothing elsewhere."""
    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield lambda text: None
        return
    with terminal.status("") as status:
        yield lambda text: status.update(f"{text} …")


def _show(made: Compilation) -> None:
    report = made.report
    typer.echo(f"calibrated on {report['calibrated_on']}")
    typer.echo(f"quality: {report['measure']}")
    console().print(_trials(made))
    if report["host"]:
        console().print(_host(report))
    changes = Counter(cut["change"] for cut in report["cuts"])
    typer.echo(
        f"{len(report['layers'])} layers on the device, {len(report['host'])} nodes on the host; "
        f"{len(report['cuts'])} cuts, {report['bytes_copied'] / 1e6:.2f} MB copied, "
        f"{changes['quantise']} times quantised and {changes['dequantise']} back"
    )
    typer.echo(
        f"{report['device_s'] * 1e3:.2f} ms on one core of {report['profile']['name']}, "
        f"{report['attained']:.0%} of its peak"
    )
    if worst := [f"{one['layer']} {one['share']:.0%}" for one in report["blame"][:_WORST]]:
        typer.echo(f"most of the loss: {', '.join(worst)}")
    typer.echo(f"report: {made.page}")
    value, gate = report["quality"]["value"], report["min_quality"]
    if made.passed:
        typer.echo(f"compiled: {made.path} keeps {value:.1%}")
    else:
        typer.echo(f"keeps {value:.1%}, {gate:.1%} is asked for; left in {made.path}", err=True)


def _trials(made: Compilation) -> Table:
    """Every way that was tried."""
    names = list(made.trials[0].quality.figures)[:_FIGURES]
    columns = numbers("quality", *names, "device ms", "cuts", "MB copied")
    table = Table("tried", *columns, box=SIMPLE_HEAD)
    for trial in made.trials:
        table.add_row(
            spoken(trial.told),
            f"{trial.quality.value:.4f}",
            *(f"{trial.quality.figures.get(name, float('nan')):.4f}" for name in names),
            f"{trial.device_s * 1e3:.2f}",
            str(trial.cuts),
            f"{trial.bytes_copied / 1e6:.2f}",
        )
    return table


def _host(report: dict[str, Any]) -> Table:
    """Why nodes are not on the device, operator by operator."""
    table = Table("on the host", *numbers("nodes"), "because", "what to do", box=SIMPLE_HEAD)
    nodes = Counter((one["operator"], one["reason"], one["suggestion"]) for one in report["host"])
    for (operator, reason, suggestion), count in nodes.items():
        table.add_row(operator, str(count), reason, suggestion)
    return table

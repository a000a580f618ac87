"""``sightline models prune`` and ``factorise``: smaller networks, and whether they are worth it."""

from __future__ import annotations

import json as json_text
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from engines.compress import factorise, prune
from engines.compress.pruning import NORMS
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Json
from pipeline.models.compression import Wish, compress
from pipeline.models.subject import subject

_NAMES = 3  # so many layers are named that are left alone for one reason; the report has all

Model = Annotated[
    str, typer.Argument(help="A model's name or folder, or an ONNX file.", show_default=False)
]
Out = Annotated[
    Path, typer.Option("-o", metavar="FILE.onnx", help="The new network; its report lies beside.")
]
Weights = Annotated[Path | None, typer.Option(help="Another file instead of the model's network.")]
Pictures = Annotated[
    str | None,
    typer.Option(
        "--with",
        metavar="VIDEO|IMAGE|FOLDER",
        help="What both networks are compared on; a sample video if not given.",
    ),
]
Seconds = Annotated[float, typer.Option(min=0.0, help="How long each network is timed.")]


def add_commands(app: typer.Typer) -> None:
    """Adds both to ``sightline models``."""
    app.command("prune")(prune_command)
    app.command("factorise")(factorise_command)


def prune_command(
    model: Model,
    out: Out,
    ratio: Annotated[
        float | None, typer.Option(help="Share of its channels that each group loses, 0..1.")
    ] = None,
    macs: Annotated[
        float | None, typer.Option(help="Or share of the multiply-adds that is left, 0..1.")
    ] = None,
    norm: Annotated[str, typer.Option(help=f"Of the filters: {' or '.join(NORMS)}.")] = "l1",
    multiple: Annotated[
        int,
        typer.Option(help="Each group keeps a multiple of so many channels: 8 or 16 suit CPUs."),
    ] = 1,
    keep: Annotated[
        str, typer.Option(help="Layers that keep their channels, such as Conv_0,Conv_7.")
    ] = "",
    weights: Weights = None,
    pictures: Pictures = None,
    seconds: Seconds = 2.0,
    json: Json = False,
) -> None:
    """Takes out the channels whose filters have the lowest norms.

    Nothing is trained: the report says what is lost. Exits with 1 if nothing can go.
    """
    names = [name for name in keep.split(",") if name]
    wishes: dict[str, Any] = {
        "ratio": ratio,
        "macs": macs,
        "norm": norm,
        "multiple": multiple,
        "keep": names,
    }
    why = "fewer channels make worse use of the processor"
    if multiple == 1:
        why = "it computes channels in blocks that are no longer whole; try --multiple 16"
    wish = Wish("prune", wishes, partial(prune, **wishes), why)
    _run(wish, model, out, weights, pictures, seconds, json)


def factorise_command(
    model: Model,
    out: Out,
    energy: Annotated[
        float | None,
        typer.Option(help="Share of its squared singular values that each layer keeps, 0..1."),
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Or share of its multiply-adds that each loses, 0..1.")
    ] = None,
    weights: Weights = None,
    pictures: Pictures = None,
    seconds: Seconds = 2.0,
    json: Json = False,
) -> None:
    """Splits dense layers and 1x1 convolutions in two of lower rank, where that saves something.

    Nothing is trained: the report says what is lost. Exits with 1 if no layer gets cheaper.
    """
    wishes: dict[str, Any] = {"energy": energy, "ratio": ratio}
    why = "two small layers cost more than one"
    wish = Wish("factorise", wishes, partial(factorise, **wishes), why)
    _run(wish, model, out, weights, pictures, seconds, json)


def _run(
    wish: Wish,
    model: str,
    out: Path,
    weights: Path | None,
    pictures: str | None,
    seconds: float,
    json: bool,
) -> None:
    made = compress(subject(model, weights), wish, out, pictures, seconds)
    if json:
        typer.echo(json_text.dumps(made.report, ensure_ascii=False))
    else:
        _show(made.report)
    if made.path is None:
        raise typer.Exit(1)
    if not json:
        typer.echo(f"written: {made.path}")


def _show(report: dict[str, Any]) -> None:
    table = Table(
        *("layer", "operator", "before", "after"),
        *numbers("parameters", "", "multiply-adds", "", "kept"),
        box=SIMPLE_HEAD,
    )
    for layer in report["layers"]:
        table.add_row(
            layer["layer"],
            layer["operator"],
            _shape(layer["before"]),
            " · ".join(map(_shape, layer["after"])),
            *(f"{count:,}" for count in (*layer["parameters"], *layer["multiply_adds"])),
            f"{layer['kept']:.3f}",
        )
    console().print(table)
    reasons = defaultdict[str, list[str]](list)
    for name, reason in report["left"].items():
        reasons[reason].append(name)
    for reason, names in reasons.items():
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        typer.echo(f"left alone: {', '.join(names[:_NAMES])}{more}: {reason}")
    for what in ("parameters", "multiply_adds", "bytes"):
        before, after = report[what]
        typer.echo(f"{what.replace('_', '-')}: {before:,} → {after:,} ({after / before:.3f})")
    if "time" in report:
        _show_measured(report)
    typer.echo(report["verdict"])


def _show_measured(report: dict[str, Any]) -> None:
    time, bound, quality = report["time"], report["bound"], report["quality"]
    best = "no limit" if bound["at_best"] is None else f"{bound['at_best']:.2f}x"
    typer.echo(
        f"time: {time['before_ms']:.2f} → {time['after_ms']:.2f} ms on {report['engine']}; the "
        f"operators that changed take {bound['share']:.0%} of it: at best {best}, by their "
        f"multiply-adds {bound['by_multiply_adds']:.2f}x"
    )
    figures = ", ".join(f"{name} {value:.3f}" for name, value in quality["figures"].items())
    typer.echo(f"compared on {report['compared_on']}")
    typer.echo(f"quality: {quality['measure']}: {figures}")
    for one in report["outputs"]:
        noise = "equal" if one["snr_db"] is None else f"{one['snr_db']:.1f} dB"
        typer.echo(f"output {one['name']}: {noise}, cosine {one['cosine']:.5f}")


def _shape(lengths: list[int]) -> str:
    return "x".join(map(str, lengths))

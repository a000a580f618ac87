"""``sightline models convert``: a network in another format, compared with what it was."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from engines.convert import CONVERTERS
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Json
from pipeline.models.conversion import Conversion, convert_model
from pipeline.models.subject import subject


def command(
    model: Annotated[
        str,
        typer.Argument(help="A model's name or folder, or a network's file.", show_default=False),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="FORMAT", help=f"{', '.join(sorted({to for _, to in CONVERTERS}))}."
        ),
    ],
    precision: Annotated[
        str, typer.Option(help="Of the new network's numbers: fp32, bf16, fp16, int8.")
    ] = "fp32",
    weights: Annotated[
        Path | None, typer.Option(help="Another file instead of the model's network.")
    ] = None,
    pictures: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="VIDEO|IMAGE|FOLDER",
            help="What both networks are given; a sample video if not given.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("-o", help="Where it goes; if not given, to where models find it."),
    ] = None,
    outputs: Annotated[
        str, typer.Option(help="Of a Caffe network: blobs wanted, such as features,scores.")
    ] = "",
    json: Json = False,
) -> None:
    """Converts a network, and compares it with its source on real pictures.

    Exits with 1 if an output differs by more than the precision explains.
    """
    blobs = tuple(filter(None, outputs.split(",")))
    given = subject(model, weights, blobs)
    conversion = convert_model(
        given.network,
        to,
        precision=precision,
        preprocess=given.manifest.preprocess if given.manifest else None,
        pictures=pictures,
        folder=folder,
    )
    if json:
        facts = conversion.report | {"folder": str(conversion.folder)}
        typer.echo(json_text.dumps(facts, ensure_ascii=False))
    else:
        _show(conversion)
    if not conversion.comparison.equal:
        raise typer.Exit(1)


def _show(conversion: Conversion) -> None:
    report = conversion.report
    table = Table("output", *numbers("largest", "max |Δ|", "mean |Δ|", "cosine", "allowed"), "",
                  box=SIMPLE_HEAD)  # fmt: skip
    for one in conversion.comparison.differences:
        numbers_ = (one.largest, one.max_abs, one.mean_abs)
        table.add_row(
            one.name,
            *(f"{value:.3g}" for value in numbers_),
            f"{one.cosine:.6f}",
            f"{one.allowed:.3g}",
            "" if one.within else "differs",
        )
    console().print(table)
    typer.echo(f"{report['engines']['network']} against {report['engines']['source']}")
    typer.echo(f"compared on {report['compared_on']}")
    if conversion.comparison.equal:
        typer.echo(f"converted: {conversion.network.path}")
    else:
        typer.echo(f"not the same network; left in {conversion.folder}", err=True)

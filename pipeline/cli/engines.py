"""``sightline engines``: the backends, what they have here, and what is missing."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from engines import BackendInfo, registry
from pipeline.cli.console import console
from pipeline.cli.options import Json


def command(json: Json = False) -> None:
    """Lists the backends: version, devices, types, what is missing and how to install it."""
    found = registry.describe()
    if json:
        typer.echo(json_text.dumps([asdict(info) for info in found]))
        return
    table = Table("backend", "version", "devices", "dtypes", "networks", "kernels", "missing",
                  box=SIMPLE_HEAD)  # fmt: skip
    for info in found:
        table.add_row(
            info.name,
            info.version,
            ", ".join(info.devices),
            ", ".join(info.dtypes),
            ", ".join(info.formats),
            ", ".join(info.kernels),
            _missing(info),
        )
    console().print(table)


def _missing(info: BackendInfo) -> str:
    return f"{info.missing}; run: {info.install}" if info.install else info.missing

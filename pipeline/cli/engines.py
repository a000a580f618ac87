"""``sightline engines``: the backends, what they have here, and what is missing."""

from __future__ import annotations

import json as json_text
import os
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from engines import BackendInfo, EngineError, registry
from engines.peak import device_memory, peak_flops
from pipeline.cli.console import console
from pipeline.cli.options import Json


def command(
    json: Json = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Each device's peak too, by a matrix product: seconds a device."
        ),
    ] = False,
) -> None:
    """Lists the backends: version, devices, types, what is missing and how to install it."""
    found = registry.describe()
    peaks = {info.name: _devices(info, measure) for info in found}
    if json:
        rows = [asdict(info) | {"devices": peaks[info.name]} for info in found]
        typer.echo(json_text.dumps(rows))
        return
    table = Table("backend", "version", "devices", "dtypes", "networks", "kernels", "missing",
                  box=SIMPLE_HEAD)  # fmt: skip
    for info in found:
        table.add_row(
            info.name,
            info.version,
            "\n".join(_shown(device) for device in peaks[info.name]),
            ", ".join(info.dtypes),
            ", ".join(info.formats),
            ", ".join(info.kernels),
            _missing(info),
        )
    console().print(table)


def _devices(info: BackendInfo, measured: bool) -> list[dict[str, Any]]:
    """Each device with its memory and, where that was asked for, its peak."""
    found = []
    for name in info.devices:
        device: dict[str, Any] = {"device": name, "memory_bytes": device_memory(name)}
        if measured and info.formats:
            try:
                cores = len(os.sched_getaffinity(0))
                device["peak_gflops"] = peak_flops(info.name, name, (1, cores)) / 1e9
            except EngineError as error:
                device["error"] = str(error)
        found.append(device)
    return found


def _shown(device: dict[str, Any]) -> str:
    memory, peak = device["memory_bytes"], device.get("peak_gflops")
    facts = [
        f"{peak:.0f} GFLOP/s" if peak else device.get("error", ""),
        f"{memory / 2**30:.0f} GiB" if memory else "",
    ]
    return " ".join([device["device"], ", ".join(filter(None, facts))]).strip()


def _missing(info: BackendInfo) -> str:
    return f"{info.missing}; run: {info.install}" if info.install else info.missing

"""``sightline bench``: one model on many engines, side by side."""

from __future__ import annotations

import json as json_text
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.benching.bench import Row, bench
from pipeline.benching.claims import Verdict, compare, read_claims
from pipeline.cli.console import console, numbers
from pipeline.cli.options import Json


def command(
    model: Annotated[str, typer.Argument(help="A model's name, or its folder.")],
    engines: Annotated[
        str, typer.Option(help="Backends, or BACKEND@DEVICE, with commas between; or all.")
    ] = "all",
    weights: Annotated[str | None, typer.Option(help="Another file for the weights.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16 or int8; as stored.")] = "",
    workers: Annotated[
        int, typer.Option(min=1, help="Side by side, 1 to this many; all cores if not given.")
    ] = len(os.sched_getaffinity(0)),
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each measurement.")] = 2.0,
    against: Annotated[
        Path | None, typer.Option(help="A vendor's claims, YAML: see docs/engines.md.")
    ] = None,
    json: Json = False,
) -> None:
    """Measures latency, throughput, memory and processor time of a model on each engine.

    Each engine runs in a process of its own. What a backend cannot run is told with the remedy.
    """
    claims = read_claims(against) if against else ()
    rows = bench(model, engines, weights, precision, range(1, workers + 1), seconds)
    verdicts = compare(rows, claims)
    if json:
        found = {"rows": [row.to_json() for row in rows]}
        if against:
            found["claims"] = [verdict.to_json() for verdict in verdicts]
        typer.echo(json_text.dumps(found))
    else:
        console().print(_table(rows, workers))
        if against:
            console().print(_claims(verdicts))
    if any(verdict.suspicion for verdict in verdicts) or all(row.error for row in rows):
        raise typer.Exit(1)


def _table(rows: list[Row], workers: int) -> Table:
    table = Table(
        "engine", "precision",
        *numbers("p50 ms", "p95 ms", *(f"fps ×{n}" for n in range(1, workers + 1))),
        *numbers("CPU ms", "load s", "MB", "GFLOP/s", "of peak"),
        "",
        box=SIMPLE_HEAD,
    )  # fmt: skip
    for row in rows:
        found = row.found
        if found is None:
            table.add_row(row.engine, *[""] * (8 + workers), row.error)
            continue
        table.add_row(
            row.engine,
            found.precision,
            f"{found.p50_ms:.2f}",
            f"{found.p95_ms:.2f}",
            *(f"{fps:.0f}" for fps in found.fps.values()),
            f"{found.cpu_ms:.2f}",
            f"{found.load_s:.2f}",
            f"{found.memory_mb:.0f}",
            f"{row.gflops:.1f}" if row.gflops else "",
            f"{row.attained:.0%}" if row.attained else "",
            row.error,
        )
    if (cost := rows[0].cost) is not None:
        table.caption = (
            f"a forward: {cost.flops / 1e9:.2f} GFLOP, {cost.weight_bytes / 1e6:.1f} MB of weights,"
            f" {cost.tensor_bytes / 1e6:.1f} MB of tensors"
        )
    return table


def _claims(verdicts: list[Verdict]) -> Table:
    table = Table("engine", "figure", *numbers("claimed", "measured", "ratio"), "", box=SIMPLE_HEAD)
    for verdict in verdicts:
        table.add_row(
            verdict.engine,
            verdict.figure,
            f"{verdict.claimed:g}",
            "" if verdict.measured is None else f"{verdict.measured:.3g}",
            "" if verdict.ratio is None else f"{verdict.ratio:.2f}",
            verdict.suspicion,
        )
    return table

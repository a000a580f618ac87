"""Traced frames: which ones, and what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.cli.console import console, numbers
from pipeline.cli.pages import write_page
from pipeline.tracing import Trace, Tracer, chrome_trace

_WAITS = ("room", "queue", "work", "order")


def tracer_of(frames: Sequence[str], every: int) -> Tracer | None:
    """What notes these frames; None where there are none.

    Args:
        frames: such as ``"gate:100"``.
        every: each camera's every so many frames, too; 0: none.

    Raises:
        typer.BadParameter: one is written in another way.
    """
    return Tracer([_frame(text) for text in frames], every) if frames or every else None


def write_traces(tracer: Tracer, path: Path) -> None:
    """Writes what was noted for chrome://tracing and ui.perfetto.dev.

    Raises:
        OutputError: the file cannot be written.
    """
    write_page(path, json.dumps(chrome_trace(tracer.traces)) + "\n")


def print_traces(tracer: Tracer) -> None:
    """Prints what was noted to stdout, a table a frame."""
    for trace in tracer.traces:
        console().print(trace_table(trace))


def trace_table(trace: Trace) -> Table:
    """One frame's way, in milliseconds: each stage's waits and work, and when it was done there."""
    title = f"{trace.camera} frame {trace.sequence} at {trace.pts_ns / 1e9:.3f} s"
    table = Table("stage", *numbers(*_WAITS, "done at"), title=title, box=SIMPLE_HEAD)
    began_ns = trace.marks[0].at_ns
    stages: dict[str, dict[str, int]] = {}
    ends: dict[str, int] = {}
    for span in trace.spans():
        stages.setdefault(span.stage, {})[span.what] = span.end_ns - span.begin_ns
        ends[span.stage] = span.end_ns
    for stage, spans in stages.items():
        times = (f"{spans[what] / 1e6:.2f}" if what in spans else "" for what in _WAITS)
        table.add_row(stage, *times, f"{(ends[stage] - began_ns) / 1e6:.2f}")
    for drop in trace.drops:
        table.add_row(drop.stage, *[""] * len(_WAITS), f"{(drop.at_ns - began_ns) / 1e6:.2f}")
    return table


def _frame(text: str) -> tuple[str, int]:
    camera, _, frame = text.rpartition(":")
    if not camera or not frame.isdecimal():
        raise typer.BadParameter(f"{text!r} is no camera and frame; write such as gate:100")
    return camera, int(frame)

"""What a run looks like while it runs: a live table, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.cli.console import numbers
from pipeline.report import RunReport

Observer = Callable[[RunReport], None]

_TABLE_S, _LINE_S, _JSON_S = 0.5, 5.0, 1.0


class Style(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


class Rates:
    """Frames per second between two looks at a run."""

    def __init__(self) -> None:
        self._wall_s = 0.0
        self._emitted: dict[str, int] = {}
        self._fps: dict[str, float] = {}

    def update(self, report: RunReport) -> dict[str, float]:
        """Frames emitted per second since the last look, by camera."""
        elapsed_s = report.wall_s - self._wall_s
        if elapsed_s > 0:
            emitted = {camera: account.emitted for camera, account in report.ledger.items()}
            self._fps = {c: (n - self._emitted.get(c, 0)) / elapsed_s for c, n in emitted.items()}
            self._wall_s, self._emitted = report.wall_s, emitted
        return self._fps


@contextmanager
def progress(style: Style) -> Iterator[tuple[Observer | None, float]]:
    """Shows a run's progress on stderr (JSON: on stdout) while the block runs.

    Yields:
        What the supervisor is to call, and how often in seconds.
    """
    console = Console(stderr=True, force_terminal=True if style is Style.RICH else None)
    if style is Style.AUTO:
        style = Style.RICH if console.is_terminal and not console.is_dumb_terminal else Style.PLAIN
    rates = Rates()
    if style is Style.RICH:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda report: live.update(live_table(report, rates), refresh=True), _TABLE_S
    elif style is Style.PLAIN:
        yield lambda report: print(plain_line(report, rates), file=sys.stderr, flush=True), _LINE_S
    elif style is Style.JSON:
        yield lambda report: print(json_line(report), flush=True), _JSON_S
    else:
        yield None, _LINE_S


def json_line(report: RunReport) -> str:
    """A report so far as one line."""
    return json.dumps({"type": "progress", **report.to_json()})


def plain_line(report: RunReport, rates: Rates) -> str:
    """A report so far for people, in one line."""
    fps = rates.update(report)
    age_ms = max((stage.age_p95_ms for stage in report.stages), default=0.0)
    cameras = ", ".join(f"{camera} {rate:.1f} fps" for camera, rate in fps.items())
    busiest = report.bottleneck
    return (
        f"{report.wall_s:6.1f} s  {report.emitted} frames out, {report.dropped} dropped; "
        f"{cameras or 'no frames yet'}; latency p95 {age_ms:.0f} ms"
        + (f"; busiest {busiest.name} {busiest.busy:.0%}" if busiest else "")
    )


def live_table(report: RunReport, rates: Rates) -> Group:
    """A report so far as tables of cameras and stages."""
    fps = rates.update(report)
    cameras = Table("camera", *numbers("fps", "in", "out", "dropped"), "faults", box=None)
    for camera in report.cameras:
        account = report.ledger.get(camera.id)
        counts = (
            (account.entered, account.emitted, sum(account.dropped.values()))
            if account
            else (0, 0, 0)
        )
        faults = ", ".join(f"{name} ×{count}" for name, count in camera.faults.items())
        cameras.add_row(
            camera.id, f"{fps.get(camera.id, 0.0):.1f}", *map(str, counts), camera.error or faults
        )
    depths = {edge.target: (edge.depth, edge.capacity) for edge in report.edges}
    stages = Table("stage", *numbers("busy", "queue", "p50 ms", "age p95 ms", "blind"), box=None)
    for stage in report.stages:
        depth, capacity = depths.get(stage.name, (0, 0))
        stages.add_row(
            stage.name,
            f"{stage.busy:.0%}",
            f"{depth}/{capacity}" if capacity else "",
            f"{stage.p50_ms:.1f}",
            f"{stage.age_p95_ms:.0f}",
            str(stage.blind or ""),
        )
    head = Text(f"{report.wall_s:.0f} s   {report.emitted} frames out   Ctrl-C ends", "dim")
    return Group(head, cameras, Text(), stages)

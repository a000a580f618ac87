"""A finished run for people: the ledger, the stages, the bottleneck."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from pipeline.cli.console import console, numbers
from pipeline.config import PipelineConfig
from pipeline.config.problem import KeyPath
from pipeline.governor import GovernorReport
from pipeline.ledger import Account
from pipeline.report import RunReport


def print_summary(report: RunReport) -> None:
    """Prints the report to stdout."""
    console().print(summary(report))


def print_failures(report: RunReport, config: PipelineConfig) -> None:
    """Prints to stderr what went wrong, each with the key of the configuration it belongs to."""
    keys: dict[str, KeyPath] = {name: ("stages", name) for name in config.stages}
    keys |= {camera.id: ("cameras", i, "uri") for i, camera in enumerate(config.cameras)}
    texts = []
    for failure in report.failures:
        place = config.where(*keys[failure.where]) if failure.where in keys else failure.where
        texts.append(f"error: {place}: {failure.error}")
    if report.finished and not report.balanced:
        texts.append("error: the frame ledger does not balance")
    for text in dict.fromkeys(texts):  # several workers may fail alike
        print(text, file=sys.stderr)


def summary(report: RunReport) -> Group:
    """The report as tables."""
    tables = [cameras(report), stages(report)]
    if report.boundaries:
        tables.append(boundaries(report))
    return Group(*tables, Text(_verdict(report)))


def cameras(report: RunReport) -> Table:
    """The frame ledger: a line per camera."""
    table = Table("camera", *numbers("in", "out", "dropped", "fps"), "why dropped", "source",
                  box=SIMPLE_HEAD)  # fmt: skip
    for camera in report.cameras:
        account = report.ledger.get(camera.id, Account(0, 0, {}, {}))
        faults = [f"{name} ×{count}" for name, count in camera.faults.items()]
        source = ", ".join(filter(None, [camera.decoder, *faults]))
        table.add_row(
            camera.id,
            str(account.entered),
            str(account.emitted),
            str(sum(account.dropped.values())),
            f"{camera.fps:.1f}",
            _reasons(account.dropped) + _missing(account),
            source,
        )
    return table


def stages(report: RunReport) -> Table:
    """What every stage did and how long it took, in milliseconds; fits into 80 columns."""
    columns = numbers("×", "done", "drop", "blind", "busy", "p50", "p95", "wait", "queue")
    table = Table(Column("stage", no_wrap=True), *columns, box=SIMPLE_HEAD)
    waits = {edge.target: f"{edge.wait_p50_ms:.2f}" for edge in report.edges}
    queues = {edge.target: f"{edge.max_depth}/{edge.capacity}" for edge in report.edges}
    for stage in report.stages:
        table.add_row(
            stage.name,
            str(stage.workers),
            str(stage.processed),
            str(sum(stage.dropped.values())),
            str(stage.blind),
            f"{stage.busy:.0%}",
            f"{stage.p50_ms:.2f}",
            f"{stage.p95_ms:.2f}",
            waits.get(stage.name, ""),
            queues.get(stage.name, ""),
        )
    return table


def boundaries(report: RunReport) -> Table:
    """What each border between a stage and an engine costs a frame; fits into 80 columns."""
    columns = numbers("runs", "kB in", "kB out", "quant", "dequ", "copy", "run", "wait")
    first = Column("stage", no_wrap=True)
    table = Table(first, "engine", *columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for one in report.boundaries:
        times = (
            one.quantise_ms,
            one.dequantise_ms,
            one.copy_in_ms + one.copy_out_ms,
            one.run_ms,
            one.wait_ms,
        )
        table.add_row(
            one.stage,
            one.engine,
            str(one.forwards),
            f"{one.bytes_in / 1e3:.1f}",
            f"{one.bytes_out / 1e3:.1f}",
            *(f"{ms:.2f}" for ms in times),
        )
    return table


def _verdict(report: RunReport) -> str:
    busiest = report.bottleneck
    lines = [f"{stage.name} ran {stage.binding}" for stage in report.stages if stage.binding]
    lines.insert(0, "p50, p95 of one call, wait in the queue: ms; queue: most that waited/capacity")
    if report.boundaries:
        lines.insert(
            1,
            "a frame and engine: kB given, taken; ms to quantise, dequantise, copy, run; mean wait",
        )
    speed = (
        f"{report.emitted} frames in {report.wall_s:.1f} s: {report.fps:.1f} fps; "
        f"{report.efficiency:.0%} of the ideal on {report.cores} cores"
    )
    if busiest is not None:
        speed += f"; the bottleneck is {busiest.name} ({busiest.busy:.0%} busy)"
    lines.append(speed)
    if report.joules_per_frame is not None:
        lines.append(f"the whole machine used {report.joules_per_frame:.2f} J a frame")
    for stage in report.stages:
        if stage.counts:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(stage.counts.items()))
            lines.append(f"{stage.name}: {counts}")
        lines += [f"{stage.name}: {name}: {why}" for name, why in sorted(stage.reasons.items())]
    if report.governor and report.governor.transitions:
        lines.append(_overload(report.governor))
    state = "balanced" if report.balanced else "NOT BALANCED"
    lines.append(
        f"ledger {state}: {report.entered} in = {report.emitted} out + {report.dropped} dropped"
    )
    if report.aborted:
        lines.append("the run was ended before it was finished")
    return "\n".join(lines)


def _overload(governor: GovernorReport) -> str:
    spent = ", ".join(f"{level} {s:.1f} s" for level, s in governor.seconds.items() if s)
    return f"overload: {spent}; now {governor.level}; {governor.coasted} frames not detected"


def _reasons(dropped: Mapping[tuple[str, str], int]) -> str:
    return ", ".join(f"{stage}: {reason} ×{n}" for (stage, reason), n in sorted(dropped.items()))


def _missing(account: Account) -> str:
    return f" MISSING ×{account.missing}" if account.missing else ""

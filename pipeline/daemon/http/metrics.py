"""What a Prometheus server reads: the run's report at the moment it asks, and nothing kept.

Every name is in docs/daemon.md. Label values are ids and names of the configuration and constant
words of the program, so their number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from pipeline.daemon.insight import Insight, version
from pipeline.escalation import Level
from pipeline.health import Health, Kind
from pipeline.media.source import SourceState
from pipeline.metrics import SPREAD_S, Spread
from pipeline.output.preview import PREVIEW
from pipeline.report import RunReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Row = tuple[tuple[str, ...], float]


def render(insight: Insight) -> bytes:
    """All metrics now, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Once(_families(insight)))
    text: bytes = generate_latest(registry)
    return text


class _Once:
    """What one answer consists of, as a collector."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(insight: Insight) -> Iterator[Metric]:
    report, health = insight.report(), insight.health
    yield _gauge("info", "Constant 1, with the version.", ["version"], [((version(),), 1)])
    yield from _of_process(report, health)
    yield from _of_energy(insight)
    yield from _of_cameras(report, health)
    yield _of_events(report)
    yield from _of_stages(report)
    yield from _of_queues(report)
    yield from _of_engines(report)


def _of_process(report: RunReport, health: Health) -> Iterator[Metric]:
    yield _counter("run_seconds", "Since the run began.", [], [((), report.wall_s)])
    yield _counter("cpu_seconds", "Processor time used.", [], [((), report.cpu_s)])
    yield _gauge("live", "0 where only a new process helps.", [], [((), health.live)])
    yield _gauge("ready", "1 while frames are worked on.", [], [((), health.ready)])
    alarms = [(kind, sum(alarm.kind is kind for alarm in health.alarms)) for kind in Kind]
    yield _gauge(
        "alarms", "Cameras or stages about which an alarm stands.", ["kind"],
        [((kind,), count) for kind, count in alarms],
    )  # fmt: skip
    governor = report.governor
    levels = [((level,), governor.level == level) for level in Level] if governor else []
    yield _gauge("overload_level", "1 for what is done against overload.", ["level"], levels)
    coasted = [((), governor.coasted)] if governor else []
    yield _counter("frames_coasted", "Not detected, to save time.", [], coasted)
    yield _counter(
        "restarts", "Engines, decoders and processes started anew.", ["what"],
        [((one.what,), one.count) for one in report.restarts],
    )  # fmt: skip


def _of_energy(insight: Insight) -> Iterator[Metric]:
    energy = insight.energy
    yield _counter(
        "machine_energy_joules", "Used by the whole machine, as far as its counters tell.", [],
        [] if energy.joules is None else [((), energy.joules)],
    )  # fmt: skip
    yield _gauge(
        "temperature_celsius", "Of the machine's sensors.", ["sensor"],
        [((sensor,), celsius) for sensor, celsius in energy.temperatures_c.items()],
    )  # fmt: skip


def _of_cameras(report: RunReport, health: Health) -> Iterator[Metric]:
    accounts = report.ledger.items()
    yield _counter(
        "frames_entered", "Frames a camera gave.", ["camera"],
        [((camera,), account.entered) for camera, account in accounts],
    )  # fmt: skip
    yield _counter(
        "frames_emitted", "Frames whose results went out.", ["camera"],
        [((camera,), account.emitted) for camera, account in accounts],
    )  # fmt: skip
    yield _counter(
        "frames_dropped", "Frames that ended at a stage.", ["camera", "stage", "reason"],
        [
            ((camera, stage, reason), frames)
            for camera, account in accounts
            for (stage, reason), frames in account.dropped.items()
        ],
    )  # fmt: skip
    yield _gauge(
        "camera_state", "1 for the state a camera is in.", ["camera", "state"],
        [
            ((camera, state), part.state == state)
            for camera, part in health.cameras.items()
            for state in SourceState
        ],
    )  # fmt: skip
    yield _counter(
        "camera_sessions", "Connections that gave a picture.", ["camera"],
        [((camera.id,), camera.condition.sessions) for camera in report.cameras],
    )  # fmt: skip
    yield _counter(
        "camera_faults", "What was wrong with a camera's stream.", ["camera", "fault"],
        [((c.id, fault), count) for c in report.cameras for fault, count in c.faults.items()],
    )  # fmt: skip


def _of_events(report: RunReport) -> Metric:
    return _counter(
        "events", "What happened, by the rules of a stage analyse.", ["camera", "rule", "kind"],
        [
            (tuple(words.split()), count)
            for stage in report.stages
            if stage.name == PREVIEW
            for words, count in stage.counts.items()
        ],
    )  # fmt: skip


def _of_stages(report: RunReport) -> Iterator[Metric]:
    stages = report.stages
    yield _gauge(
        "stage_workers", "Copies of a stage.", ["stage"], [((s.name,), s.workers) for s in stages]
    )
    yield _counter(
        "stage_packets", "Packets worked on.", ["stage"], [((s.name,), s.processed) for s in stages]
    )
    yield _counter(
        "stage_blind", "Packets of which nothing is known, as an engine failed.", ["stage"],
        [((s.name,), s.blind) for s in stages],
    )  # fmt: skip
    yield _counter(
        "stage_busy_seconds", "Time its workers spent in it, all together.", ["stage"],
        [((s.name,), s.busy * report.wall_s * s.workers) for s in stages],
    )  # fmt: skip
    yield _counter(
        "stage_cpu_seconds", "Processor time of its workers' own threads.", ["stage"],
        [((s.name,), s.cpu_ms / 1e3 * s.processed) for s in stages],
    )  # fmt: skip
    yield _gauge(
        "stage_counts", "What a stage counts by itself; most only rises.", ["stage", "what"],
        [
            ((s.name, what), count)
            for s in stages
            if s.name != PREVIEW
            for what, count in s.counts.items()
        ],
    )  # fmt: skip
    yield _histogram("stage_service_seconds", "Of one call.", [(s.name, s.service) for s in stages])
    yield _histogram(
        "stage_age_seconds", "From a frame's entrance to the end of the stage.",
        [(s.name, s.age) for s in stages],
    )  # fmt: skip


def _of_queues(report: RunReport) -> Iterator[Metric]:
    # A stage with state per camera has an inbox a worker: added up.
    def added(field: str) -> list[Row]:
        total: dict[str, float] = {}
        for edge in report.edges:
            total[edge.target] = total.get(edge.target, 0) + getattr(edge, field)
        return [((stage,), value) for stage, value in total.items()]

    yield _gauge("queue_packets", "Waiting before a stage.", ["stage"], added("depth"))
    yield _counter("queue_dropped", "Packets that a full queue lost.", ["stage"], added("dropped"))
    yield _counter(
        "queue_blocked_seconds", "For which a queue made others wait.", ["stage"],
        added("blocked_s"),
    )  # fmt: skip


def _of_engines(report: RunReport) -> Iterator[Metric]:
    labels = ["stage", "engine"]

    def rows(values: Iterable[tuple[Any, float]]) -> list[Row]:
        return [((one.stage, one.engine), value) for one, value in values]

    all_of = report.boundaries
    yield _counter(
        "engine_calls", "That gave a result.", labels, rows((one, one.forwards) for one in all_of)
    )
    yield _counter(
        "engine_run_seconds", "The engine's own work.", labels,
        rows((one, one.run_ms / 1e3 * one.frames) for one in all_of),
    )  # fmt: skip
    yield _counter(
        "engine_given_bytes", "Over the border to it.", labels,
        rows((one, one.bytes_in * one.frames) for one in all_of),
    )  # fmt: skip
    yield _counter(
        "engine_taken_bytes", "Over the border from it.", labels,
        rows((one, one.bytes_out * one.frames) for one in all_of),
    )  # fmt: skip


def _gauge(name: str, text: str, labels: list[str], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(f"sightline_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _counter(name: str, text: str, labels: list[str], rows: Iterable[Row]) -> Metric:
    family = CounterMetricFamily(f"sightline_{name}", text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _histogram(name: str, text: str, rows: Iterable[tuple[str, Spread]]) -> Metric:
    family = HistogramMetricFamily(f"sightline_{name}", text, labels=["stage"])
    for stage, spread in rows:
        bounds = [str(most_s) for most_s in SPREAD_S]
        counts = [*zip(bounds, spread.counts, strict=True), ("+Inf", spread.count)]
        family.add_metric([stage], counts, sum_value=spread.total_s)
    return family

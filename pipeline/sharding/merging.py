"""One report of the reports of several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from engines.isolation.restarts import together
from pipeline.boundary import Boundary
from pipeline.escalation import Level
from pipeline.governor import GovernorReport
from pipeline.ledger import Account
from pipeline.metrics import Spread
from pipeline.report import CameraReport, EdgeReport, RunReport, StageReport

#: Where and why frames ended that were in a process when it died.
LOST = ("shard", "killed")

#: What nobody governs any more.
_AT_REST: dict[str, Any] = {
    "level": Level.NORMAL,
    "interval": 1,
    "window": 0,
    "expected_ms": 0.0,
}
_KEPT = 100

T = TypeVar("T")
N = TypeVar("N", int, float)


def merged(reports: Sequence[RunReport], wall_s: float) -> RunReport:
    """All of them as one run. What comes later in the list is newer.

    Counts are sums. Of times a stage or queue took, the median is a mean weighted by packets, and
    the 95th percentile is that of the slowest process, which the true one does not exceed.

    Args:
        reports: at least one.
        wall_s: how long the whole has run.
    """
    ledger = _ledger(reports)
    cameras = _each([r.cameras for r in reports], lambda c: c.id, _cameras)
    return replace(
        reports[-1],
        finished=all(report.finished for report in reports),
        aborted=any(report.aborted for report in reports),
        wall_s=wall_s,
        cpu_s=sum(report.cpu_s for report in reports),
        cameras=tuple(replace(c, fps=_rate(ledger.get(c.id), wall_s)) for c in cameras),
        ledger=ledger,
        stages=_each([r.stages for r in reports], lambda s: s.name, _stages),
        edges=_each([r.edges for r in reports], lambda e: e.target, _edges),
        boundaries=_each(
            [r.boundaries for r in reports], lambda b: (b.stage, b.engine), _boundaries
        ),
        failures=tuple(failure for report in reports for failure in report.failures),
        restarts=together(restart for report in reports for restart in report.restarts),
        governor=_governor([r.governor for r in reports if r.governor is not None]),
    )


def settled(report: RunReport) -> RunReport:
    """The last report of a process that died: what was in it then is lost, and counted so.

    What it told of now is over, and its failures are told anew by the process in its place.
    """
    ledger = {camera: _settled(account) for camera, account in report.ledger.items()}
    return replace(
        report,
        finished=True,
        failures=(),
        ledger=ledger,
        stages=tuple(replace(stage, workers=0) for stage in report.stages),
        edges=tuple(replace(edge, depth=0) for edge in report.edges),
        governor=report.governor and replace(report.governor, **_AT_REST),
    )


def _settled(account: Account) -> Account:
    if account.balanced:
        return account
    dropped = Counter(account.dropped)
    dropped[LOST] += account.missing
    return replace(account, dropped=dict(dropped))


def _each(
    parts: Iterable[Sequence[T]], key: Callable[[T], Hashable], join: Callable[[list[T]], T]
) -> tuple[T, ...]:
    """What has the same key becomes one, in the order of first appearance."""
    groups: dict[Hashable, list[T]] = {}
    for part in parts:
        for item in part:
            groups.setdefault(key(item), []).append(item)
    return tuple(join(group) if len(group) > 1 else group[0] for group in groups.values())


def _cameras(parts: list[CameraReport]) -> CameraReport:
    return replace(parts[-1], faults=_sum(part.faults for part in parts))


def _rate(account: Account | None, wall_s: float) -> float:
    return account.emitted / wall_s if account and wall_s else 0.0


def _ledger(reports: Sequence[RunReport]) -> dict[str, Account]:
    cameras = sorted({camera for report in reports for camera in report.ledger})
    return {
        camera: _accounts([r.ledger[camera] for r in reports if camera in r.ledger])
        for camera in cameras
    }


def _accounts(parts: list[Account]) -> Account:
    return Account(
        sum(part.entered for part in parts),
        sum(part.emitted for part in parts),
        _sum(part.dropped for part in parts),
        _sum(part.partial for part in parts),
    )


def _stages(parts: list[StageReport]) -> StageReport:
    def mean(name: str, weight: str) -> float:
        return _mean([(getattr(part, name), getattr(part, weight)) for part in parts])

    return replace(
        parts[-1],
        workers=sum(part.workers for part in parts),
        processed=sum(part.processed for part in parts),
        emitted=sum(part.emitted for part in parts),
        blind=sum(part.blind for part in parts),
        array_bytes=mean("array_bytes", "emitted"),
        picture_bytes=mean("picture_bytes", "emitted"),
        dropped=_sum(part.dropped for part in parts),
        busy=mean("busy", "workers"),
        cpu_ms=mean("cpu_ms", "processed"),
        p50_ms=mean("p50_ms", "processed"),
        p95_ms=max(part.p95_ms for part in parts),
        age_p95_ms=max(part.age_p95_ms for part in parts),
        counts=_sum(part.counts for part in parts),
        reasons={name: why for part in parts for name, why in part.reasons.items()},
        service=sum((part.service for part in parts), Spread()),
        age=sum((part.age for part in parts), Spread()),
    )


def _edges(parts: list[EdgeReport]) -> EdgeReport:
    return replace(
        parts[-1],
        depth=sum(part.depth for part in parts),
        max_depth=max(part.max_depth for part in parts),
        put=sum(part.put for part in parts),
        taken=sum(part.taken for part in parts),
        dropped=sum(part.dropped for part in parts),
        wait_p50_ms=_mean([(part.wait_p50_ms, part.put) for part in parts]),
        wait_p95_ms=max(part.wait_p95_ms for part in parts),
        blocked_s=sum(part.blocked_s for part in parts),
    )


def _boundaries(parts: list[Boundary]) -> Boundary:
    names = (
        *("bytes_in", "bytes_out", "bytes_copied", "quantise_ms", "dequantise_ms"),
        *("copy_in_ms", "copy_out_ms", "run_ms", "wait_ms"),
    )
    means: dict[str, Any] = {n: _mean([(getattr(p, n), p.frames) for p in parts]) for n in names}
    return replace(
        parts[-1],
        frames=sum(part.frames for part in parts),
        forwards=sum(part.forwards for part in parts),
        **means,
    )


def _governor(parts: list[GovernorReport]) -> GovernorReport | None:
    """Level and age are those of the process that is worst off."""
    if not parts:
        return None
    levels = list(Level)
    worst = max(parts, key=lambda part: (levels.index(Level(part.level)), part.interval))
    transitions = [transition for part in parts for transition in part.transitions]
    return replace(
        worst,
        seconds=_sum(part.seconds for part in parts),
        transitions=tuple(sorted(transitions, key=lambda t: t.at_s)[-_KEPT:]),
        coasted=sum(part.coasted for part in parts),
        window=sum(part.window for part in parts),
        expected_ms=max(part.expected_ms for part in parts),
    )


def _mean(weighted: Sequence[tuple[float, int]]) -> float:
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else 0.0


def _sum(counts: Iterable[Mapping[T, N]]) -> dict[T, N]:
    total: dict[T, N] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total[name] + count if name in total else count
    return total

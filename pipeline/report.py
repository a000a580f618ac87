"""What a run has to say for itself: the ledger, the stages, the edges, the bottleneck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engines.isolation.restarts import Restart
from pipeline.boundary import Boundary
from pipeline.energy import Energy
from pipeline.errors import PipelineError
from pipeline.governor import GovernorReport
from pipeline.ledger import Account
from pipeline.media.source import Condition, SourceState
from pipeline.metrics import QueueMetrics, Spread, StageMetrics
from pipeline.worker import Failure

#: Exit codes of a run.
EXIT_OK, EXIT_FAILED, EXIT_PARTIAL, EXIT_UNBALANCED, EXIT_ABORTED = 0, 1, 3, 4, 130


@dataclass(frozen=True)
class StageReport:
    """One stage's counts; times in milliseconds.

    Attributes:
        name: the stage's name.
        workers: copies that ran side by side.
        binding: what it ran on, for people.
        processed: packets worked on.
        emitted: packets handed on or put out.
        blind: packets for which the engine failed.
        array_bytes: of the arrays in a packet handed on, mean; they go by reference.
        picture_bytes: of the picture in it, as it is stored, mean; it goes by reference too.
        dropped: packets that ended here, by reason.
        busy: share of the run's time its workers spent in it, 0..1; near 1 is the bottleneck.
        cpu_ms: processor time per packet in the worker's own thread.
        p50_ms: median time of one call.
        p95_ms: 95th percentile of one call.
        age_p95_ms: 95th percentile of the time from a frame's entrance to the end of this stage.
        counts: what the stage counts by itself, such as datagrams sent and lost.
        reasons: why each engine that failed last did, by its id.
        service: how long the calls took, all of them.
        age: how old the frames were at the end of this stage, since they entered.
    """

    name: str
    workers: int
    binding: str
    processed: int
    emitted: int
    blind: int
    array_bytes: float
    picture_bytes: float
    dropped: dict[str, int]
    busy: float
    cpu_ms: float
    p50_ms: float
    p95_ms: float
    age_p95_ms: float
    counts: dict[str, int]
    reasons: dict[str, str]
    service: Spread = field(default_factory=Spread)
    age: Spread = field(default_factory=Spread)

    @staticmethod
    def of(
        name: str,
        workers: int,
        binding: str,
        metrics: StageMetrics,
        dropped: dict[str, int],
        wall_s: float,
        counts: dict[str, int] | None = None,
        reasons: dict[str, str] | None = None,
    ) -> StageReport:
        """Sums up the merged counts of one stage's workers."""
        return StageReport(
            name,
            workers,
            binding,
            metrics.processed,
            metrics.emitted,
            metrics.blind,
            metrics.array_bytes / max(metrics.emitted, 1),
            metrics.picture_bytes / max(metrics.emitted, 1),
            dropped,
            metrics.busy_ns / 1e9 / max(wall_s * workers, 1e-9),
            metrics.cpu_ns / 1e6 / max(metrics.processed, 1),
            metrics.service.quantile_ns(0.5) / 1e6,
            metrics.service.quantile_ns(0.95) / 1e6,
            metrics.age.quantile_ns(0.95) / 1e6,
            counts or {},
            reasons or {},
            metrics.service.spread(),
            metrics.age.spread(),
        )


@dataclass(frozen=True)
class EdgeReport:
    """One inbox's counts; times in milliseconds.

    Attributes:
        target: the stage behind the inbox.
        capacity: packets a lane holds.
        depth: packets waiting now.
        max_depth: most that ever waited, over all lanes.
        put: packets accepted.
        taken: packets the stage took out; where it stands still with packets waiting, it hangs.
        dropped: packets that had to go because a lane was full.
        wait_p50_ms: median time in the queue.
        wait_p95_ms: 95th percentile of the time in the queue.
        blocked_s: seconds producers waited for room.
    """

    target: str
    capacity: int
    depth: int
    max_depth: int
    put: int
    taken: int
    dropped: int
    wait_p50_ms: float
    wait_p95_ms: float
    blocked_s: float

    @staticmethod
    def of(target: str, metrics: QueueMetrics) -> EdgeReport:
        """Sums up one queue's counts."""
        return EdgeReport(
            target,
            metrics.capacity,
            metrics.depth,
            metrics.max_depth,
            metrics.put,
            metrics.got,
            metrics.dropped,
            metrics.wait.quantile_ns(0.5) / 1e6,
            metrics.wait.quantile_ns(0.95) / 1e6,
            metrics.blocked_ns / 1e9,
        )


@dataclass(frozen=True)
class CameraReport:
    """One camera's line.

    Attributes:
        id: the camera's id.
        uri: without secrets.
        codec: what its frames were encoded with; empty when it could not be opened.
        decoder: what decoded them.
        fps: frames emitted per second of the run.
        faults: what was wrong with the source, counted by name.
        error: why the camera ended early; empty when it did not.
        condition: how the source is doing, and why.
    """

    id: str
    uri: str
    codec: str
    decoder: str
    fps: float
    faults: dict[str, int]
    error: str
    condition: Condition = field(default_factory=lambda: Condition(SourceState.CONNECTING))


@dataclass(frozen=True)
class RunReport:
    """Everything about one run, or about a run so far.

    Attributes:
        finished: False for a report taken while the graph runs.
        aborted: True where the run was ended before it had drained.
        wall_s: seconds since the first source was started.
        cpu_s: processor seconds the process used in that time, engine threads included.
        cores: processors this process may use.
        cameras: a line per camera.
        ledger: the frame ledger's account per camera.
        stages: a line per stage, in graph order.
        edges: a line per inbox, in graph order.
        boundaries: a line for each stage and each of its engines that was given something.
        failures: what went wrong for good, first failure first.
        restarts: engines, decoders and processes that were started anew.
        governor: what was done against overload; None where no camera may drop frames.
        energy: that the whole machine used meanwhile; None where nobody measured it.
    """

    finished: bool
    aborted: bool
    wall_s: float
    cpu_s: float
    cores: int
    cameras: tuple[CameraReport, ...]
    ledger: Mapping[str, Account]
    stages: tuple[StageReport, ...]
    edges: tuple[EdgeReport, ...]
    boundaries: tuple[Boundary, ...]
    failures: tuple[Failure, ...]
    restarts: tuple[Restart, ...] = ()
    governor: GovernorReport | None = None
    energy: Energy | None = None

    @property
    def entered(self) -> int:
        return sum(account.entered for account in self.ledger.values())

    @property
    def emitted(self) -> int:
        return sum(account.emitted for account in self.ledger.values())

    @property
    def dropped(self) -> int:
        return sum(sum(account.dropped.values()) for account in self.ledger.values())

    @property
    def balanced(self) -> bool:
        """Whether every frame's end is known; only meaningful once finished."""
        return all(account.balanced for account in self.ledger.values())

    @property
    def fps(self) -> float:
        """Frames emitted per second, all cameras together."""
        return self.emitted / self.wall_s if self.wall_s else 0.0

    @property
    def joules_per_frame(self) -> float | None:
        """Of the whole machine, by frame emitted; None where that is not known."""
        joules = self.energy.joules if self.energy else None
        return joules / self.emitted if joules is not None and self.emitted else None

    @property
    def bottleneck(self) -> StageReport | None:
        """The stage whose workers were busiest."""
        return max(self.stages, key=lambda stage: stage.busy, default=None)

    @property
    def efficiency(self) -> float:
        """Throughput against the ideal of cores / processor time per frame; 1 is all cores busy."""
        return self.cpu_s / (self.wall_s * self.cores) if self.wall_s else 0.0

    @property
    def exit_code(self) -> int:
        """0 fine; 1 a stage failed; 3 a camera failed; 4 the ledger is wrong; 130 aborted."""
        if any(failure.fatal for failure in self.failures):
            return EXIT_FAILED
        if self.finished and not self.balanced:
            return EXIT_UNBALANCED
        if self.aborted:
            return EXIT_ABORTED
        if any(camera.error for camera in self.cameras):
            return EXIT_PARTIAL
        return EXIT_OK

    def raise_for_failure(self) -> None:
        """Raises `PipelineError` if anything failed; its first error is the first that happened."""
        if self.failures:
            errors = [failure.error for failure in self.failures]
            raise PipelineError(f"the run failed ({len(errors)} errors)", errors)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "finished": self.finished,
            "aborted": self.aborted,
            "balanced": self.balanced,
            "exit_code": self.exit_code,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "cores": self.cores,
            "fps": self.fps,
            "efficiency": self.efficiency,
            "bottleneck": self.bottleneck.name if self.bottleneck else None,
            "cameras": [asdict(camera) for camera in self.cameras],
            "ledger": {camera: _account_json(a) for camera, a in self.ledger.items()},
            "stages": [asdict(stage) for stage in self.stages],
            "edges": [asdict(edge) for edge in self.edges],
            "boundaries": [asdict(boundary) for boundary in self.boundaries],
            "governor": asdict(self.governor) if self.governor else None,
            "energy": asdict(self.energy) if self.energy else None,
            "joules_per_frame": self.joules_per_frame,
            "failures": [f"{failure.where}: {failure.error}" for failure in self.failures],
            "restarts": [asdict(restart) for restart in self.restarts],
        }


def _account_json(account: Account) -> dict[str, Any]:
    return {
        "entered": account.entered,
        "emitted": account.emitted,
        "dropped": [
            {"stage": stage, "reason": reason, "frames": frames}
            for (stage, reason), frames in sorted(account.dropped.items())
        ],
        "partial": [
            {"stage": stage, "reason": reason, "branches": branches}
            for (stage, reason), branches in sorted(account.partial.items())
        ],
        "missing": account.missing,
    }

"""What is at work in a run and what has been, and what they have to say for a report.

A run may work on one graph after another. What is counted of a stage or an inbox is counted by its
name and never jumps back: what replaced ones counted stays in the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from engines.isolation.restarts import Restart
from engines.traffic import total_by_engine
from pipeline.boundary import Boundary
from pipeline.graph import SOURCES
from pipeline.ledger import Account
from pipeline.metrics import Histogram, StageMetrics
from pipeline.report import CameraReport, EdgeReport, StageReport
from pipeline.source_worker import SourceWorker
from pipeline.stage_worker import StageWorker
from pipeline.wiring import Crewed, Wiring
from pipeline.worker import Worker


@dataclass(frozen=True, slots=True)
class Past:
    """What workers of one stage counted that are gone."""

    metrics: StageMetrics = field(default_factory=StageMetrics)
    counts: Mapping[str, int] = field(default_factory=dict)

    def with_(self, worker: Worker) -> Past:
        """The sum with one worker more."""
        counts = worker.stage.counts() if isinstance(worker, StageWorker) else {}
        metrics = StageMetrics.merged([self.metrics, worker.metrics])
        return Past(metrics, _sum([self.counts, counts]))


_NOTHING = Past()


@dataclass(frozen=True, slots=True)
class Standing:
    """A moment of a run; only what the workers count goes on changing.

    Attributes:
        wiring: what is at work.
        leaving: workers of earlier graphs; they end by themselves.
        past: what those counted that ended, by the stage's name.
    """

    wiring: Wiring
    leaving: Sequence[SourceWorker | StageWorker] = ()
    past: Mapping[str, Past] = field(default_factory=dict)

    def followed_by(
        self, wiring: Wiring, leaving: Iterable[SourceWorker | StageWorker]
    ) -> Standing:
        """The moment at which another graph is at work; these workers are not needed there."""
        past = dict(self.past)
        over = [worker for worker in self.leaving if worker.ended]
        for worker in over:
            past[_name(worker)] = past.get(_name(worker), _NOTHING).with_(worker)
        still = [worker for worker in self.leaving if worker not in over]
        return Standing(wiring, [*still, *leaving], past)

    @property
    def workers(self) -> list[SourceWorker | StageWorker]:
        """All of them, in the order in which they end."""
        return [*self.leaving, *self.wiring.workers]

    def cameras(self, accounts: Mapping[str, Account], wall_s: float) -> Iterator[CameraReport]:
        """A line per camera."""
        for worker, camera in zip(self.wiring.sources, self.wiring.graph.cameras, strict=True):
            account = accounts.get(camera.id)
            yield CameraReport(
                camera.id,
                camera.uri,
                worker.info.codec if worker.info else "",
                worker.info.decoder if worker.info else "",
                account.emitted / wall_s if account and wall_s else 0.0,
                dict(worker.faults),
                worker.error,
                worker.condition,
            )

    def stages(self, accounts: Mapping[str, Account], wall_s: float) -> Iterator[StageReport]:
        """A line per stage, that of all sources first."""
        drops = _drops_by_stage(accounts.values())
        sources = self.wiring.sources
        decode = self._total(SOURCES, sources)
        yield StageReport.of(
            SOURCES, len(sources), "", decode.metrics, drops.get(SOURCES, {}), wall_s
        )
        for stage in self.wiring.stages:
            yield self._stage(stage, drops.get(stage.node.name, {}), wall_s)

    def _stage(self, stage: Crewed, drops: dict[str, int], wall_s: float) -> StageReport:
        node, total = stage.node, self._total(stage.node.name, stage.workers)
        return StageReport.of(
            node.name,
            node.workers,
            stage.workers[0].stage.runs_on or str(node.binding),
            total.metrics,
            drops,
            wall_s,
            dict(total.counts),
            {k: v for worker in stage.workers for k, v in worker.stage.reasons().items()},
        )

    def _total(self, name: str, workers: Sequence[SourceWorker | StageWorker]) -> Past:
        """What these and all before them counted."""
        total = self.past.get(name, _NOTHING)
        for worker in (*(w for w in self.leaving if _name(w) == name), *workers):
            total = total.with_(worker)
        return total

    def edges(self) -> Iterator[EdgeReport]:
        """A line per inbox."""
        for stage in self.wiring.stages:
            for inbox in stage.inboxes:
                yield EdgeReport.of(stage.node.name, inbox.statistics())

    def restarts(self) -> Iterator[Restart]:
        """Decoders and engines that were started anew."""
        for source in self.wiring.sources:
            yield replace(source.restart, what=f"decoder of {source.camera}")
        for worker in self.wiring.stage_workers:
            for restart in worker.stage.restarts():
                yield replace(restart, what=f"{restart.what} of {worker.stage_name}")

    def boundaries(self) -> Iterator[Boundary]:
        """A line for each stage at work and each of its engines that was given something."""
        for stage in self.wiring.stages:
            frames = sum(worker.metrics.processed for worker in stage.workers)
            waits = Histogram()
            for inbox in stage.inboxes:
                waits.merge(inbox.statistics().wait)
            traffic = total_by_engine(worker.stage.traffic() for worker in stage.workers)
            for engine, counts in traffic.items():
                if counts.bytes_in:  # else it only stood by
                    yield Boundary.of(stage.node.name, engine, counts, frames, waits.mean_ns / 1e6)


def _name(worker: SourceWorker | StageWorker) -> str:
    return worker.stage_name if isinstance(worker, StageWorker) else SOURCES


def _drops_by_stage(accounts: Iterable[Account]) -> dict[str, dict[str, int]]:
    drops: dict[str, Counter[str]] = {}
    for account in accounts:
        for part in (account.dropped, account.partial):
            for (stage, reason), count in part.items():
                drops.setdefault(stage, Counter())[reason] += count
    return {stage: dict(reasons) for stage, reasons in drops.items()}


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return dict(total)

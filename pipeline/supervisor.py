"""Runs a graph: starts its workers in order, watches them, stops them, and reports."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

from engines.isolation.restarts import Restart, together
from engines.traffic import total_by_engine
from pipeline.boundary import Boundary
from pipeline.clock import Clock, SystemClock
from pipeline.errors import ReloadError, StageError
from pipeline.governor import Governor
from pipeline.graph import SOURCES, Graph
from pipeline.handover import Handover, Trial
from pipeline.ledger import Account
from pipeline.metrics import Histogram, StageMetrics
from pipeline.report import CameraReport, EdgeReport, RunReport, StageReport
from pipeline.stage import Stage
from pipeline.wiring import Crewed, Hub, Wiring
from pipeline.worker import Failure, SourceWorker, StageWorker

#: How long a worker may take to notice that the run was aborted before it is given up.
_ABORT_S = 2.0
_POLL_S = 0.1
_SETTLE_S = 0.002

Observer = Callable[[RunReport], None]


class Supervisor:
    """One run of one graph.

    Args:
        graph: what to run.
        clock: for pacing and ages.

    Raises:
        GraphError: a branch of the graph ends in no output.
    """

    def __init__(self, graph: Graph, clock: Clock | None = None) -> None:
        graph.check_runnable()
        clock = clock or SystemClock()
        self._hub = Hub(clock, Governor(graph.max_age_s, clock))
        self._ledger = self._hub.ledger
        self._stop = self._hub.stop
        self._broken = self._hub.broken
        self._abort = threading.Event()
        self._replacing = threading.Lock()
        self._deadline_s = float("inf")
        self._asked = 0  # signals that came
        self._failures: list[Failure] = []
        self._started: tuple[float, float] | None = None
        self._ended: tuple[float, float] | None = None
        self._wiring = Wiring(graph, self._hub, self._on_failure)
        self._leaving: list[SourceWorker | StageWorker] = []  # of graphs that were replaced

    @property
    def graph(self) -> Graph:
        """What runs now."""
        return self._wiring.graph

    def run(self, observer: Observer | None = None, interval_s: float = 1.0) -> RunReport:
        """Runs to the end; SIGINT and SIGTERM drain, a second one aborts.

        Args:
            observer: called in this thread with a report so far, every `interval_s` seconds.

        Returns:
            The final report; failures are in it, not raised.
        """
        with self._signals():
            self.start()
            return self.wait(observer, interval_s)

    def start(self) -> bool:
        """Opens the files, then the stages, then the outputs, and last lets the frames in.

        Whatever fails on the way ends the run before anything behind it was touched: a wrong model
        leaves no empty result file. `wait` must follow in any case.

        Returns:
            Whether frames were let in.
        """
        cameras = zip(self._sources, self.graph.cameras, strict=True)
        opened = [source for source, camera in cameras if camera.live or source.open()]
        self._started = (time.monotonic(), time.process_time())
        if opened and self._open_stages(sinks=False) and self._open_stages(sinks=True):
            self._started = (time.monotonic(), time.process_time())
            for source in opened:
                source.start()
        else:
            opened = []
        for source in self._sources:
            if source not in opened:
                source.close()
        return bool(opened)

    def _open_stages(self, *, sinks: bool) -> bool:
        self._open([w for s in self._stages if s.node.is_sink == sinks for w in s.workers])
        return not self._fatal and not self._abort.is_set()

    def _open(self, workers: Iterable[StageWorker]) -> None:
        for worker in workers:
            # One after the other: engines load libraries with threads of their own, and the dynamic
            # linker has ended this process where one was loaded while another thread was started.
            worker.start()
            while not worker.opened.wait(_POLL_S) and not self._abort.is_set():
                self._heed_signals()

    def replace(self, graph: Graph) -> None:
        """Goes over to another graph while frames flow, wholly or not at all.

        Cameras and stages that are the same (`signature`) in both go on as they are and lose
        nothing. A camera that is another one than before goes on in a new epoch. From any thread.

        Args:
            graph: as `pipeline.build` gives it.

        Raises:
            SightlineError: something of it cannot be opened, a stage hangs, or the run ends; the
                old graph runs on.
        """
        graph.check_runnable()
        with self._replacing:
            self._settle(graph.drain_s)
            trial = Trial(self._on_failure)
            new = Wiring(graph, self._hub, trial, self._wiring)
            handover = Handover(self._wiring, new, trial, self._open)
            try:
                handover.open()
                handover.switch(graph.drain_s)
            except BaseException:
                handover.cancel()
                raise
            self._leaving = handover.leaving
            self._wiring = new
            for source in handover.arriving:
                source.start()
            with suppress(ReloadError):
                self._settle(graph.drain_s)

    def _settle(self, timeout_s: float) -> None:
        """Waits until the last graph is through. Raises `ReloadError` where that takes longer."""
        deadline_s = time.monotonic() + timeout_s
        for worker in self._workers():
            while isinstance(worker, StageWorker) and not worker.settled:
                if time.monotonic() > deadline_s or self._broken.is_set():
                    raise ReloadError(f"the last change is not through yet: {worker.name} is busy")
                time.sleep(_SETTLE_S)

    @property
    def _fatal(self) -> bool:
        return any(failure.fatal for failure in self._failures)

    def wait(self, observer: Observer | None = None, interval_s: float = 1.0) -> RunReport:
        """Waits until every worker has ended; gives the final report."""
        next_s = time.monotonic() + interval_s
        while not self._abort.is_set() and (worker := self._working()):
            worker.join(_POLL_S)
            self._heed_signals()
            now_s = time.monotonic()
            if now_s > self._deadline_s:
                self.abort()
            if observer is not None and now_s >= next_s:
                next_s = now_s + interval_s
                observer(self.report())
        self._give_up_the_stuck()
        self._ended = (time.monotonic(), time.process_time())
        return self.report()

    def stop(self) -> None:
        """Takes no more frames; what is under way has the graph's `drain_s` to finish."""
        if not self._stop.is_set():
            self._deadline_s = time.monotonic() + self.graph.drain_s
            self._stop.set()
            for source in self._sources:
                source.interrupt()

    def abort(self) -> None:
        """Ends now: what is under way is dropped and counted."""
        self.stop()
        self._abort.set()
        self._broken.set()
        for worker in reversed(self._workers()):
            if isinstance(worker, StageWorker):
                for packet in worker.cancel():
                    self._ledger.drop(packet.ticket, worker.stage_name, "aborted")

    def copies(self, stage: str) -> list[Stage[Any, Any]]:
        """The copies of a stage that are at work now; none where there is no such stage."""
        return [w.stage for s in self._stages if s.node.name == stage for w in s.workers]

    def report(self) -> RunReport:
        """The run so far, or the finished run."""
        wall_s, cpu_s = self._elapsed()
        accounts = self._ledger.accounts()
        drops = _drops_by_stage(accounts.values())
        return RunReport(
            finished=self._ended is not None,
            aborted=self._abort.is_set(),
            wall_s=wall_s,
            cpu_s=cpu_s,
            cores=len(os.sched_getaffinity(0)),
            cameras=tuple(self._camera_report(s, accounts, wall_s) for s in self._sources),
            ledger=accounts,
            stages=tuple(self._stage_reports(drops, wall_s)),
            edges=tuple(
                EdgeReport.of(stage.node.name, inbox.statistics())
                for stage in self._stages
                for inbox in stage.inboxes
            ),
            boundaries=tuple(self._boundaries()),
            failures=tuple(self._failures),
            restarts=together(self._restarts()),
            governor=self._hub.governor.report(),
        )

    def _elapsed(self) -> tuple[float, float]:
        if self._started is None:
            return 0.0, 0.0
        wall_s, cpu_s = self._ended or (time.monotonic(), time.process_time())
        return wall_s - self._started[0], cpu_s - self._started[1]

    def _camera_report(
        self, worker: SourceWorker, accounts: dict[str, Account], wall_s: float
    ) -> CameraReport:
        account = accounts.get(worker.camera)
        camera = next(camera for camera in self.graph.cameras if camera.id == worker.camera)
        return CameraReport(
            camera.id,
            camera.uri,
            worker.info.codec if worker.info else "",
            worker.info.decoder if worker.info else "",
            account.emitted / wall_s if account and wall_s else 0.0,
            dict(worker.faults),
            worker.error,
            worker.condition,
        )

    def _stage_reports(
        self, drops: dict[str, dict[str, int]], wall_s: float
    ) -> Iterator[StageReport]:
        decode = StageMetrics.merged(source.metrics for source in self._sources)
        workers = len(self._sources)
        yield StageReport.of(SOURCES, workers, "", decode, drops.get(SOURCES, {}), wall_s)
        for stage in self._stages:
            metrics = StageMetrics.merged(worker.metrics for worker in stage.workers)
            node = stage.node
            yield StageReport.of(
                node.name,
                node.workers,
                stage.workers[0].stage.runs_on or str(node.binding),
                metrics,
                drops.get(node.name, {}),
                wall_s,
                _sum(worker.stage.counts() for worker in stage.workers),
                {k: v for worker in stage.workers for k, v in worker.stage.reasons().items()},
            )

    def _restarts(self) -> Iterator[Restart]:
        for source in self._sources:
            yield replace(source.restart, what=f"decoder of {source.camera}")
        for stage in self._stages:
            for worker in stage.workers:
                for restart in worker.stage.restarts():
                    yield replace(restart, what=f"{restart.what} of {stage.node.name}")

    def _boundaries(self) -> Iterator[Boundary]:
        for stage in self._stages:
            frames = sum(worker.metrics.processed for worker in stage.workers)
            waits = Histogram()
            for inbox in stage.inboxes:
                waits.merge(inbox.statistics().wait)
            traffic = total_by_engine(worker.stage.traffic() for worker in stage.workers)
            for engine, counts in traffic.items():
                if counts.bytes_in:  # else it only stood by
                    yield Boundary.of(stage.node.name, engine, counts, frames, waits.mean_ns / 1e6)

    @property
    def _sources(self) -> list[SourceWorker]:
        return self._wiring.sources

    @property
    def _stages(self) -> list[Crewed]:
        return self._wiring.stages

    def _workers(self) -> list[SourceWorker | StageWorker]:
        stages = (worker for stage in self._stages for worker in stage.workers)
        return [*self._leaving, *self._sources, *stages]

    def _working(self) -> SourceWorker | StageWorker | None:
        """A worker that has not ended, if there is one; the first in the order in which they do."""
        return next((worker for worker in self._workers() if not worker.ended), None)

    def _give_up_the_stuck(self) -> None:
        deadline_s = time.monotonic() + _ABORT_S
        for worker in self._workers():
            if worker.join(max(0.0, deadline_s - time.monotonic())):
                continue
            error = StageError(f"worker {worker.name} did not stop within {_ABORT_S:g} s")
            self._failures.append(Failure(worker.name, error, fatal=True))
            worker.give_up()

    def _on_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        if failure.fatal:
            self._broken.set()
            self.stop()

    def _heed_signals(self) -> None:
        if self._asked > 1:
            self.abort()
        elif self._asked:
            self.stop()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """First SIGINT or SIGTERM stops, the second aborts; only the main thread may listen."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            self._asked += 1  # only this: the signal may have come while a lock is held

        before = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


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

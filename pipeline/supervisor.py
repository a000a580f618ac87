"""Runs a graph: starts its workers in order, watches them, stops them, and reports."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from engines.isolation.restarts import together
from pipeline.clock import Clock, SystemClock
from pipeline.errors import ReloadError, StageError
from pipeline.governor import Governor
from pipeline.graph import Graph
from pipeline.handover import Handover, Trial
from pipeline.report import RunReport
from pipeline.source_worker import SourceWorker
from pipeline.stage import Stage
from pipeline.stage_worker import StageWorker
from pipeline.standing import Standing
from pipeline.tracing import Tracer
from pipeline.wiring import Hub, Wiring
from pipeline.worker import Failure

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
        tracer: says which frames' way is noted; None: no frame's.

    Raises:
        GraphError: a branch of the graph ends in no output.
    """

    def __init__(
        self, graph: Graph, clock: Clock | None = None, tracer: Tracer | None = None
    ) -> None:
        graph.check_runnable()
        clock = clock or SystemClock()
        self._hub = Hub(clock, Governor(graph.max_age_s, clock), tracer=tracer)
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
        self._standing = Standing(Wiring(graph, self._hub, self._on_failure))

    @property
    def graph(self) -> Graph:
        """What runs now."""
        return self._standing.wiring.graph

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
        with self._replacing:
            return self._start()

    def _start(self) -> bool:
        sources = self._standing.wiring.sources
        cameras = zip(sources, self.graph.cameras, strict=True)
        opened = [source for source, camera in cameras if camera.live or source.open()]
        self._started = (time.monotonic(), time.process_time())
        if opened and self._open_stages(sinks=False) and self._open_stages(sinks=True):
            self._started = (time.monotonic(), time.process_time())
            for source in opened:
                source.start()
        else:
            opened = []
        for source in sources:
            if source not in opened:
                source.close()
        return bool(opened)

    def _open_stages(self, *, sinks: bool) -> bool:
        stages = self._standing.wiring.stages
        self._open([w for s in stages if s.node.is_sink == sinks for w in s.workers])
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
            old = self._standing.wiring
            new = Wiring(graph, self._hub, trial, old)
            handover = Handover(old, new, trial, self._open)
            with ExitStack() as undo:
                undo.callback(handover.cancel)
                handover.open()
                handover.switch(graph.drain_s)
                undo.pop_all()
            self._standing = self._standing.followed_by(new, handover.leaving)
            for source in handover.arriving:
                source.start()
            with suppress(ReloadError):
                self._settle(graph.drain_s)
            self._standing = self._standing.followed_by(new, ())

    def _settle(self, timeout_s: float) -> None:
        """Waits until the last graph is through. Raises `ReloadError` where that takes longer."""
        deadline_s = time.monotonic() + timeout_s
        for worker in self._standing.workers:
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
            for source in self._standing.wiring.sources:
                source.interrupt()

    def abort(self) -> None:
        """Ends now: what is under way is dropped and counted."""
        self.stop()
        self._abort.set()
        self._broken.set()
        for worker in reversed(self._standing.workers):
            if isinstance(worker, StageWorker):
                for packet in worker.cancel():
                    self._ledger.drop(packet.ticket, worker.stage_name, "aborted")

    def copies(self, stage: str) -> list[Stage[Any, Any]]:
        """The copies of a stage that are at work now; none where there is no such stage."""
        return [w.stage for w in self._standing.wiring.stage_workers if w.stage_name == stage]

    def report(self) -> RunReport:
        """The run so far, or the finished run."""
        wall_s, cpu_s = self._elapsed()
        accounts, standing = self._ledger.accounts(), self._standing
        return RunReport(
            finished=self._ended is not None,
            aborted=self._abort.is_set(),
            wall_s=wall_s,
            cpu_s=cpu_s,
            cores=len(os.sched_getaffinity(0)),
            cameras=tuple(standing.cameras(accounts, wall_s)),
            ledger=accounts,
            stages=tuple(standing.stages(accounts, wall_s)),
            edges=tuple(standing.edges()),
            boundaries=tuple(standing.boundaries()),
            failures=tuple(self._failures),
            restarts=together(standing.restarts()),
            governor=self._hub.governor.report(),
        )

    def _elapsed(self) -> tuple[float, float]:
        if self._started is None:
            return 0.0, 0.0
        wall_s, cpu_s = self._ended or (time.monotonic(), time.process_time())
        return wall_s - self._started[0], cpu_s - self._started[1]

    def _working(self) -> SourceWorker | StageWorker | None:
        """A worker that has not ended, if there is one; the first in the order in which they do."""
        return next((worker for worker in self._standing.workers if not worker.ended), None)

    def _give_up_the_stuck(self) -> None:
        deadline_s = time.monotonic() + _ABORT_S
        for worker in self._standing.workers:
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

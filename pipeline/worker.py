"""Workers: the only file that starts threads.

A `Worker` is one thread of the graph: `StageWorker` drives a stage, `SourceWorker` a camera, and
they alone loop over queues and catch everything. Both end by themselves: when their inbox is
drained, when everything behind them is gone, or when they failed. A worker that ends closes its
inbox, so that upstream stops at its next put, and its outlet, so that downstream drains; nothing
else is needed to stop a graph. A `Background` is a thread beside it.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.ledger import Ledger
from pipeline.metrics import StageMetrics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong for good.

    Attributes:
        where: stage or camera.
        error: what was raised.
        fatal: True where the run cannot go on; a camera's end is not fatal.
    """

    where: str
    error: Exception
    fatal: bool


OnFailure = Callable[[Failure], None]


class Worker(ABC):
    """One thread of the graph."""

    def __init__(self, name: str, ledger: Ledger, on_failure: OnFailure) -> None:
        self.name = name
        self.metrics = StageMetrics()
        self.opened = threading.Event()
        self._ledger = ledger
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the thread's end; says whether it ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether its thread is over, or was never started."""
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """The thread cannot be stopped: accounts for what it still has in hand."""

    @abstractmethod
    def _run(self) -> None:
        """The thread's body; never raises."""


class Background:
    """A thread beside the graph: a server, a watcher, a courier.

    Args:
        name: of the thread.
        body: runs until the event it is given is set, or for good; what it raises is kept.
    """

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        self.error: Exception | None = None
        self._body = body
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Asks the body to end and waits for that; says whether it did."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._body(self._stop)
        except Exception as error:
            self.error = error
            _log.exception("%s ended", self._thread.name)


class Timed:
    """Adds the wall and processor time of a block to a worker's metrics.

    Args:
        packets: worked on in this block.
        waits: the block waits for somebody else, so only its processor time counts as busy.
    """

    __slots__ = ("_cpu_ns", "_metrics", "_packets", "_waits", "_wall_ns")

    def __init__(self, metrics: StageMetrics, packets: int, waits: bool = False) -> None:
        self._metrics = metrics
        self._packets = packets
        self._waits = waits

    def __enter__(self) -> None:
        self._cpu_ns = time.thread_time_ns()
        self._wall_ns = time.monotonic_ns()

    def __exit__(self, *exc: object) -> None:
        wall_ns = time.monotonic_ns() - self._wall_ns
        cpu_ns = time.thread_time_ns() - self._cpu_ns
        busy_ns = cpu_ns if self._waits else wall_ns
        metrics = self._metrics
        metrics.processed += self._packets
        metrics.busy_ns += busy_ns
        metrics.cpu_ns += cpu_ns
        metrics.service.add(busy_ns)

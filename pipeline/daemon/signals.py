"""Signals as something to wait for: a handler may not lock, so it only says that one came."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event
from types import FrameType

from pipeline.worker import Background

#: How soon a waiting thread notices that nobody needs it any more, seconds.
_POLL_S = 0.2


class Signals:
    """The signals of some numbers, in the order in which they came.

    Args:
        numbers: those to heed.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._came: SimpleQueue[str] = SimpleQueue()  # its put may interrupt its own get

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """While the block runs, they do nothing but come here; in the main thread only."""
        before = {number: signal.signal(number, self._on_signal) for number in self._numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def each(self, stop: Event) -> Iterator[str]:
        """Their names, as they come, until `stop` is set; in any thread."""
        while not stop.is_set():
            try:
                yield self._came.get(timeout=_POLL_S)
            except Empty:
                continue

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._came.put(signal.Signals(number).name)


@contextmanager
def ended_by_signals(*acts: Callable[[], None]) -> Iterator[None]:
    """While the block runs, the first SIGTERM or SIGINT calls the first act, the next one the next.

    In the main thread only; the acts are called in another one.
    """
    signals = Signals(signal.SIGTERM, signal.SIGINT)

    def end_when_asked(stop: Event) -> None:
        for _, act in zip(signals.each(stop), iter(acts), strict=False):
            act()

    ender = Background("ender", end_when_asked)
    with signals.heeded():
        ender.start()
        try:
            yield
        finally:
            ender.stop()

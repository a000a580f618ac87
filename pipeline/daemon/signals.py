"""Signals as something to wait for: a handler may not lock, so it only says that one came."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event
from types import FrameType

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

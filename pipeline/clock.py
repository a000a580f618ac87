"""Time as something that is passed in, so that tests need not sleep."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time in integer nanoseconds."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary moment; never goes back."""

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Waits until `event` is set or `timeout_s` has passed; says whether it is set."""


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        return time.time_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class ManualClock:
    """A clock that a test moves by hand; `wait` advances it instead of sleeping."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def utc_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Moves time forward by `seconds`."""
        self._now_ns += round(seconds * 1e9)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if not event.is_set():
            self.advance(max(0.0, timeout_s))
        return event.is_set()

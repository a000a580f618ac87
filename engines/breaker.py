"""A circuit breaker: which of several engines may be used, told from how they failed before.

    closed ──failure──▶ open ──retry time──▶ half-open ──success──▶ closed
                          ▲                      │
                          └───────failure────────┘   (and waits twice as long)

After M. T. Nygard, Release It! (2007), chapter 5. The workers of a stage share the breaker of each
engine, so that what one of them finds out spares the others.
"""

from __future__ import annotations

import threading
from typing import Literal

#: The longest wait between two trials, seconds, unless the first is already longer.
MOST_S = 60.0
#: An engine that worked so long is trusted like a new one, seconds.
CALM_S = 60.0


class Breaker:
    """Opens at a failure, grants one trial after a while, closes at a success.

    Safe to use from several threads. The times given are seconds of any one monotonic clock.

    Attributes:
        reason: of the last failure, in words; empty where there was none.

    Args:
        retry_s: how long after the first failure the engine is tried again; twice as long after
            each further failure, until it has worked for `CALM_S`, and never above `MOST_S`.
    """

    def __init__(self, retry_s: float = 1.0) -> None:
        self.reason = ""
        self._retry_s = retry_s
        self._most_s = max(retry_s, MOST_S)
        self._lock = threading.Lock()
        self._closed = True
        self._trial = False
        self._failures = 0  # in a row, short calm between them not counted as one
        self._closed_at_s = float("-inf")
        self._retry_at_s = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether the engine is trusted."""
        return self._closed

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """For reports."""
        if self._closed:
            return "closed"
        return "half-open" if self._trial else "open"

    def allow(self, now_s: float) -> bool:
        """Whether the engine may be used now: it is trusted, or this call is granted the trial.

        Whoever got the trial tells its end by `failure` or `success`; if nobody does, another trial
        is granted after the same wait.
        """
        if self._closed:
            return True
        with self._lock:
            if now_s < self._retry_at_s:
                return False
            self._trial = True
            self._retry_at_s = now_s + self._wait_s()
            return True

    def failure(self, now_s: float, reason: str) -> bool:
        """The engine failed. Gives True where this ended its being trusted."""
        with self._lock:
            self.reason = reason
            was_closed = self._closed
            if was_closed and now_s - self._closed_at_s >= CALM_S:
                self._failures = 0
            if was_closed or self._trial:
                self._failures += 1
                self._retry_at_s = now_s + self._wait_s()
            self._closed = self._trial = False
            return was_closed

    def success(self, now_s: float) -> bool:
        """The engine worked. Gives True where it is trusted again from now on."""
        with self._lock:
            if self._closed:
                return False
            self._closed, self._trial = True, False
            self._closed_at_s = now_s
            return True

    def _wait_s(self) -> float:
        # The exponent is bounded, as an engine may fail for months.
        return min(self._retry_s * 2.0 ** min(self._failures - 1, 64), self._most_s)

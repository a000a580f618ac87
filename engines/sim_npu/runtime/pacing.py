"""The device's time: simulated, or held to the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Protocol

#: How a device may be paced.
PACINGS = ("none", "real")


class Time(Protocol):
    """Seconds of one device's life; safe to use from several threads."""

    @property
    def now(self) -> float:
        """Seconds since the device was made; never goes back."""

    def wait_until(self, second: float) -> None:
        """Returns when it is that late on the device."""

    def waits(self, second: float) -> bool:
        """Whether `wait_until` would keep its caller."""


class SimulatedTime:
    """Time that passes only where somebody waits, and then at once."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = Lock()

    @property
    def now(self) -> float:
        return self._now

    def wait_until(self, second: float) -> None:
        with self._lock:
            self._now = max(self._now, second)

    def waits(self, second: float) -> bool:
        return False


class WallTime:
    """Time as it passes around the machine.

    Args:
        clock: seconds of a monotonic clock.
        sleep: returns after about so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._start = clock()

    @property
    def now(self) -> float:
        return self._clock() - self._start

    def wait_until(self, second: float) -> None:
        while (left := second - self.now) > 0:
            self._sleep(left)

    def waits(self, second: float) -> bool:
        return self.now < second


def paced(pacing: str) -> Time:
    """New time for one device, by one of `PACINGS`."""
    return WallTime() if pacing == "real" else SimulatedTime()

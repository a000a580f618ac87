"""How often what died is started anew, and what is remembered of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Restart:
    """How often something was started anew, and why the last time.

    Attributes:
        what: such as ``"engine npu0 of detect"``, ``"decoder of gate"`` or ``"shard 1"``.
        count: so often; 0: never.
        reason: of the last time, in words, without secrets.
        utc_ns: wall clock of the last time, nanoseconds since 1970.
    """

    what: str
    count: int = 0
    reason: str = ""
    utc_ns: int = 0

    def again(self, reason: str) -> Restart:
        """Once more, now."""
        return replace(self, count=self.count + 1, reason=reason, utc_ns=time.time_ns())

    def plus(self, other: Restart) -> Restart:
        """Both together, under this one's name."""
        last = max(self, other, key=lambda restart: restart.utc_ns)
        return replace(last, what=self.what, count=self.count + other.count)


def together(restarts: Iterable[Restart]) -> tuple[Restart, ...]:
    """One a name, in the order they came; what was never started anew is left out."""
    total: dict[str, Restart] = {}
    for restart in restarts:
        if restart.count:
            known = total.get(restart.what)
            total[restart.what] = known.plus(restart) if known else restart
    return tuple(total.values())


class Budget:
    """Grants a number of restarts within any window of time at once, the others after a wait.

    So a single death costs no time, and what dies as soon as it lives does not keep the machine
    busy with starting it. Times are seconds of any one monotonic clock.

    Args:
        restarts: granted at once within `window_s`.
        window_s: after so long a restart is forgotten, seconds.
        wait_s: how long each restart beyond these waits, seconds.
    """

    def __init__(self, restarts: int = 5, window_s: float = 60.0, wait_s: float = 30.0) -> None:
        self._window_s = window_s
        self._wait_s = wait_s
        self._last: deque[float] = deque(maxlen=restarts)

    def spend(self, now_s: float) -> float:
        """Takes one restart; gives how long it must wait, seconds."""
        many = len(self._last) == self._last.maxlen and now_s - self._last[0] < self._window_s
        wait_s = self._wait_s if many else 0.0
        self._last.append(now_s + wait_s)
        return wait_s

    def __str__(self) -> str:
        return f"{self._last.maxlen} restarts in {self._window_s:g} s"

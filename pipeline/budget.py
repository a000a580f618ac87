"""How often what died is started anew: at once while there is budget, then rarely, yet for ever."""

from __future__ import annotations

from collections import deque


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

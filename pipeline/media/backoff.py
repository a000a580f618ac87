"""How long to wait before a lost camera is tried again."""

from __future__ import annotations

import random

_FIRST_S = 0.1


class Backoff:
    """Pauses that double from a tenth of a second up to a limit, each shortened by chance.

    A pause lies between half and all of its nominal length, so that cameras that were lost together
    (a switch, a power cut) are not all asked at the same moment ("equal jitter").

    Args:
        limit_s: the longest pause.
        chance: where the chance comes from.
    """

    def __init__(self, limit_s: float, chance: random.Random | None = None) -> None:
        self._limit_s = limit_s
        self._chance = chance or random.Random()
        self._nominal_s = min(_FIRST_S, limit_s)

    def next_s(self) -> float:
        """The pause before the next attempt, measured from the beginning of the last one."""
        pause_s = self._nominal_s * self._chance.uniform(0.5, 1.0)
        self._nominal_s = min(2 * self._nominal_s, self._limit_s)
        return pause_s

    def reset(self) -> None:
        """The camera was well: what comes now is a new fault."""
        self._nominal_s = min(_FIRST_S, self._limit_s)

"""A row of points that may be long, kept short."""

from __future__ import annotations

from array import array
from typing import Literal


class Thinned:
    """Every n-th of the points it is given, and the last; n doubles whenever there are too many.

    There are as many as there are tracks, so they are packed.

    Args:
        most: that are kept, even.
        kind: of the numbers: ``f`` for float32, ``d`` for float64.
    """

    __slots__ = ("_every", "_given", "_last", "_most", "_x", "_y")

    def __init__(self, most: int, kind: Literal["f", "d"] = "f") -> None:
        self._most = most
        self._x, self._y = array(kind), array(kind)
        self._last: tuple[float, float] | None = None  # unless it is kept
        self._every = 1
        self._given = 0

    def add(self, x: float, y: float) -> None:
        """The next of the row."""
        if self._given % self._every:
            self._last = x, y
        else:
            if len(self._x) == self._most:
                self._x, self._y = self._x[::2], self._y[::2]
                self._every *= 2
            self._x.append(x)
            self._y.append(y)
            self._last = None
        self._given += 1

    def points(self) -> list[tuple[float, float]]:
        """Those that are kept, in order, `most` + 1 at most."""
        kept = list(zip(self._x, self._y, strict=True))
        return kept if self._last is None else [*kept, self._last]

"""How a video went: how many were there when, and what nobody saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

#: Bins at most, an even number.
MOST_BINS = 240
_FIRST_BIN_S = 0.25
_MOST_STRETCHES = 200
#: Frames that are all right, and those that are predicted on purpose.
_FINE = ("ok", "coasting")


class Counts:
    """How many of each class there were over time, in bins that double as the video goes on.

    Frames in which nobody looked are left out: a bin of such frames alone has no count, which is
    something else than a count of 0.
    """

    def __init__(self) -> None:
        self.bin_s = _FIRST_BIN_S
        self._seen_s = list[float]()
        self._most = list[int]()
        self._of_class: dict[str, list[float]] = {}  # seconds of all of them together

    def add(self, at_s: float, seconds: float, names: Mapping[str, int] | None) -> None:
        """The next frame.

        Args:
            at_s: since the first frame.
            seconds: that it was shown.
            names: how many there were, by class; None where nobody looked.
        """
        place = self._place(at_s)
        if names is None:
            return
        self._seen_s[place] += seconds
        self._most[place] = max(self._most[place], sum(names.values()))
        for name, count in names.items():
            sums = self._of_class.setdefault(name, [])
            sums.extend([0.0] * (place + 1 - len(sums)))
            sums[place] += count * seconds

    def to_json(self) -> dict[str, Any]:
        """Width of a bin, most at once in each, and the mean of each class; None: not known."""
        filled = {name: _filled(sums, len(self._seen_s)) for name, sums in self._of_class.items()}
        return {
            "bin_s": self.bin_s,
            "most": [m if s else None for m, s in zip(self._most, self._seen_s, strict=True)],
            "classes": {
                name: [
                    round(total / s, 3) if s else None
                    for total, s in zip(sums, self._seen_s, strict=True)
                ]
                for name, sums in sorted(filled.items())
            },
        }

    def _place(self, at_s: float) -> int:
        while at_s >= MOST_BINS * self.bin_s:
            self._double()
        place = int(at_s / self.bin_s)
        missing = place + 1 - len(self._seen_s)
        self._seen_s.extend([0.0] * missing)
        self._most.extend([0] * missing)
        return place

    def _double(self) -> None:
        self.bin_s *= 2
        self._seen_s = _paired(self._seen_s)
        most = [*self._most, 0]
        self._most = [max(pair) for pair in zip(most[::2], most[1::2], strict=False)]
        self._of_class = {name: _paired(sums) for name, sums in self._of_class.items()}


class Statuses:
    """How long each status lasted, and the stretches in which frames were not all right."""

    def __init__(self) -> None:
        self._seconds = defaultdict[str, float](float)
        self._stretches = list[tuple[float, float, str, str]]()
        self._left_out = 0
        self._now = ("ok", "")

    def add(self, at_s: float, seconds: float, status: str, reason: str) -> None:
        """A frame that was shown for so long, what is known of it, and why."""
        self._seconds[status] += seconds
        goes_on, self._now = self._now == (status, reason), (status, reason)
        if status in _FINE:
            return
        if goes_on and self._stretches:
            self._stretches[-1] = (self._stretches[-1][0], at_s + seconds, status, reason)
        elif len(self._stretches) < _MOST_STRETCHES:
            self._stretches.append((at_s, at_s + seconds, status, reason))
        else:
            self._left_out += 1

    def to_json(self) -> dict[str, Any]:
        """Seconds by status, and the first stretches."""
        return {
            "seconds": {name: round(s, 3) for name, s in sorted(self._seconds.items())},
            "stretches": [
                [round(start, 3), round(end, 3), status, reason]
                for start, end, status, reason in self._stretches
            ],
            "left_out": self._left_out,
        }


def _paired(sums: list[float]) -> list[float]:
    even = [*sums, 0.0] if len(sums) % 2 else sums
    return [a + b for a, b in zip(even[::2], even[1::2], strict=True)]


def _filled(sums: list[float], length: int) -> list[float]:
    return sums + [0.0] * (length - len(sums))

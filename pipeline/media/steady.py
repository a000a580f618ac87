"""Pictures at a steady rate, each of which can be reached without those before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile

from pipeline.media.timeline import NS_PER_S


@dataclass(frozen=True, slots=True)
class Steady:
    """When which picture is shown, and which are wanted.

    Attributes:
        fps: pictures per second, the first at 0.
        start_s: first moment wanted.
        end_s: first moment not wanted any more; None: to the end.
    """

    fps: float
    start_s: float = 0.0
    end_s: float | None = None

    def pts_ns(self, index: int) -> int:
        """When a picture is shown."""
        return round(index * NS_PER_S / self.fps)

    def wanted(self, total: int | None) -> Iterator[int]:
        """The wanted ones of so many pictures; None: there is no end."""
        indices = count(self.first_from(round(self.start_s * NS_PER_S)))
        end = total
        if self.end_s is not None:
            last = self.first_from(round(self.end_s * NS_PER_S))
            end = last if total is None else min(last, total)
        return takewhile(lambda index: end is None or index < end, indices)

    def first_from(self, moment_ns: int) -> int:
        """The first picture that is not shown before a moment."""
        index = max(0, int(moment_ns * self.fps / NS_PER_S) - 1)
        while self.pts_ns(index) < moment_ns:
            index += 1
        return index

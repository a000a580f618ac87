"""The colours of classes, the same for all videos of a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

#: Classes of ``style.css``, for the classes with the most tracks.
_OWN = ("second", "third", "first")
_SHARED = "ink"


class Palette:
    """Which class has which colour.

    Args:
        tracks: how many there are of each class; where there are more classes than colours, the
            rarest share one.
    """

    def __init__(self, tracks: Mapping[str, int]) -> None:
        names = [name for name, _ in sorted(tracks.items(), key=lambda item: (-item[1], item[0]))]
        self._kinds = dict(zip(names, _OWN, strict=False))

    def kind(self, name: str) -> str:
        """The colour of a class."""
        return self._kinds.get(name, _SHARED)

    def stacked(self, counts: Mapping[str, float]) -> list[tuple[str, float]]:
        """Sums by colour, in the order in which they are piled up."""
        sums = defaultdict[str, float](float)
        for name, count in counts.items():
            sums[self.kind(name)] += count
        return [(kind, sums[kind]) for kind in (*_OWN, _SHARED) if sums[kind]]

    def key(self, names: Collection[str]) -> list[tuple[str, str]]:
        """The colours of these classes, and what each stands for."""
        own = [(kind, name) for name, kind in self._kinds.items() if name in names]
        rest = [name for name in sorted(names) if name not in self._kinds]
        if not rest:
            return own
        shown, more = ", ".join(rest[:5]), len(rest) - 5
        return [*own, (_SHARED, shown + (f" and {more} more" if more > 0 else ""))]

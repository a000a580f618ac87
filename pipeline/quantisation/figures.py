"""The figures of a comparison, and the gate that holds their drops to limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from pipeline.errors import DataError
from pipeline.evaluation.report import Limit

#: Every figure there may be. Those of detections and embeddings are 0..1, the ratios of tracks in
#: percent. `agreement` and `cosine` are the candidate's with the reference, whose own are 1.
FIGURES = {
    "detections": ("AP50", "AP50-95", "agreement"),
    "embeddings": ("rank-1", "cosine"),
    "tracks": ("HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDSW"),
}
#: Of which less is better.
_COUNTS = ("IDSW",)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both sides.

    Attributes:
        name: as in `FIGURES`.
        reference: NaN where it is not defined.
        candidate: likewise.
    """

    name: str
    reference: float
    candidate: float

    @property
    def drop(self) -> float:
        """How much worse the candidate is; negative where it is better."""
        drop = self.reference - self.candidate
        return -drop if self.name in _COUNTS else drop

    @property
    def texts(self) -> tuple[str, str, str]:
        """Reference, candidate and drop, for people."""
        digits = 0 if self.name in _COUNTS else 2 if self.name in FIGURES["tracks"] else 4
        values = self.reference, self.candidate, self.drop
        reference, candidate, drop = (f"{value:z.{digits}f}" for value in values)
        return reference, candidate, drop


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a figure drops by no more than it may.

    Attributes:
        name: of the figure.
        allowed: the largest drop.
        complaint: that it drops by more, or that nobody knows; empty where all is well.
    """

    name: str
    allowed: float
    complaint: str


def known_limits(limits: Sequence[Limit]) -> dict[str, float]:
    """The largest drop by the figure's own name.

    Raises:
        DataError: there is no such figure.
    """
    known = {name.lower(): name for names in FIGURES.values() for name in names}
    for limit in limits:
        if limit.name.lower() not in known:
            names = ", ".join(known.values())
            raise DataError(f"--max-drop: no figure is called {limit.name!r}; there are {names}")
    return {known[limit.name.lower()]: limit.value for limit in limits}


def judge(figures: Sequence[Figure], limits: dict[str, float]) -> list[Verdict]:
    """Holds drops to their limits; a figure that is not there, or not defined, does not pass."""
    found = {figure.name: figure for figure in figures}
    return [
        Verdict(name, allowed, _complaint(name, allowed, found.get(name)))
        for name, allowed in limits.items()
    ]


def _complaint(name: str, allowed: float, figure: Figure | None) -> str:
    if figure is None:
        return f"{name} was not measured, so its drop cannot be held to {allowed:g}"
    change = f"from {figure.reference:.6g} to {figure.candidate:.6g}"
    if isnan(figure.drop):
        return f"{name} is not defined ({change}), so its drop cannot be held to {allowed:g}"
    if figure.drop <= allowed:
        return ""
    return f"{name} drops by {figure.drop:.6g} ({change}), more than {allowed:g}"

"""Directions: who goes the wrong way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.analytics.event import Event
from pipeline.analytics.paths import Steps
from pipeline.analytics.roll import Roll
from pipeline.analytics.rule import Angle, AreaSpec, Positive, Rule
from pipeline.tracking.motion import Floats
from pipeline.tracking.zones import Point


class DirectionSpec(AreaSpec):
    """Tells who goes the wrong way."""

    placed: ClassVar[tuple[str, ...]] = ("points", "along")

    kind: Literal["direction"] = "direction"

    along: Annotated[tuple[Point, Point], Field(strict=False)]
    """Two points [x, y]: the right way leads in the direction from the first to the second."""

    tolerance: Angle = 90.0
    """Ways are right up to this angle to it, degrees."""

    distance: Positive = 0.5
    """The way of an object is looked at whenever it has got so far, in heights of its box."""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.along[0] == self.along[1]:
            raise ValueError("along: expected two points that are not in one place")
        return self


class DirectionRule(Rule[DirectionSpec]):
    """A right way at one camera."""

    def __init__(self, name: str, spec: DirectionSpec) -> None:
        super().__init__(name, spec)
        self._count = 0

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        first, second = np.array(self._placed.along)
        self._way = second - first
        # From where each track's way is looked at, and whether it was wrong when looked at last.
        self._roll = Roll([("from", np.float64, (2,)), ("set", np.bool_), ("wrong", np.bool_)])

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        self._roll.drop(steps.ended.ids)
        rows, _ = self._roll.rows(steps.ids)
        places = self._anchors(steps.to_xyxy)
        here = self._here(places)
        records = self._roll.records[rows]
        gone = places - records["from"]
        far = np.hypot(*gone.T) >= self.spec.distance * steps.heights()
        looked = here & records["set"] & far
        angles = self._angles(gone)
        wrong = np.where(looked, angles > self.spec.tolerance, records["wrong"]) & here
        told = (wrong & ~records["wrong"]).nonzero()[0]
        begins = (looked | ~records["set"])[:, None]
        records["from"] = np.where(begins, places, records["from"])
        records["set"], records["wrong"] = here, wrong
        self._roll.records[rows] = records
        self._count += len(told)
        for row in told.tolist():
            yield self._event("wrong_way", steps, row, places[row], value=float(angles[row]))

    def tally(self) -> Mapping[str, int]:
        return {"wrong_way": self._count}

    def _angles(self, ways: Floats) -> Floats:
        """Between each way (N, 2) and the right one, (N,) degrees, 0..180."""
        across = ways[:, 0] * self._way[1] - ways[:, 1] * self._way[0]
        angles: Floats = np.degrees(np.arctan2(np.abs(across), ways @ self._way))
        return angles

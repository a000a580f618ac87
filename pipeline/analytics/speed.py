"""Speeds: who is too fast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from pipeline.analytics.event import Event
from pipeline.analytics.paths import Steps
from pipeline.analytics.roll import Roll
from pipeline.analytics.rule import AreaSpec, Positive, Rule

#: Who was too fast is told again only after being slower than this share of the limit.
_AGAIN = 0.9


class SpeedSpec(AreaSpec):
    """Tells who is too fast. Needs `ground`."""

    kind: Literal["speed"] = "speed"

    limit_kmh: Positive
    """Faster is too fast, km/h."""


class SpeedRule(Rule[SpeedSpec]):
    """A speed limit at one camera; the steps come with speeds."""

    def __init__(self, name: str, spec: SpeedSpec) -> None:
        super().__init__(name, spec)
        self._count = 0

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        self._roll = Roll([("told", np.bool_)])

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        self._roll.drop(steps.ended.ids)
        rows, _ = self._roll.rows(steps.ids)
        places, speeds = self._anchors(steps.to_xyxy), steps.speeds_kmh
        told = self._roll.records["told"][rows]
        fast = ~told & (speeds > self.spec.limit_kmh) & self._here(places)
        self._roll.records["told"][rows] = fast | told & ~(speeds < _AGAIN * self.spec.limit_kmh)
        found = fast.nonzero()[0]
        self._count += len(found)
        for row in found.tolist():
            yield self._event("speeding", steps, row, places[row], value=float(speeds[row]))

    def tally(self) -> Mapping[str, int]:
        return {"speeding": self._count}

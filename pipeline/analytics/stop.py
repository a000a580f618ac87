"""Stops: who stands still for too long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from pipeline.analytics.event import Event
from pipeline.analytics.paths import Steps
from pipeline.analytics.roll import Roll
from pipeline.analytics.rule import AreaSpec, Positive, Rule


class StopSpec(AreaSpec):
    """Tells who stands still for too long."""

    kind: Literal["stop"] = "stop"

    for_s: Positive
    """Who stands for so long is told, once a stand, seconds."""

    radius: Positive = 0.25
    """Who gets farther from where it came to stand does not, in heights of its box."""


class StopRule(Rule[StopSpec]):
    """Where nobody is to stand, at one camera."""

    def __init__(self, name: str, spec: StopSpec) -> None:
        super().__init__(name, spec)
        self._wait_ns = round(spec.for_s * 1e9)
        self._count = 0

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        # Where each track stands, since when, and whether that was told.
        self._roll = Roll([("at", np.float64, (2,)), ("since_ns", np.int64), ("told", np.bool_)])

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        self._roll.drop(steps.ended.ids)
        rows, new = self._roll.rows(steps.ids)
        places, records = self._anchors(steps.to_xyxy), self._roll.records[rows]
        away = np.hypot(*(places - records["at"]).T) > self.spec.radius * steps.heights()
        anew = new | away | ~self._here(places)
        records["at"][anew] = places[anew]
        records["since_ns"][anew] = steps.pts_ns
        records["told"][anew] = False
        late = ~records["told"] & (steps.pts_ns - records["since_ns"] >= self._wait_ns)
        records["told"] |= late
        self._roll.records[rows] = records
        for row in late.nonzero()[0].tolist():
            self._count += 1
            pts_ns = int(records["since_ns"][row]) + self._wait_ns
            yield self._event("stop", steps, row, places[row], pts_ns, self.spec.for_s)

    def tally(self) -> Mapping[str, int]:
        standing = int(np.count_nonzero(self._roll.records["told"]))
        return {"standing": standing, "stopped": self._count}

"""Zones: who enters and leaves them, who is there, and who is there for too long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from pipeline.analytics.event import Event
from pipeline.analytics.paths import Steps
from pipeline.analytics.presence import Change, Presence
from pipeline.analytics.rule import Duration, PolygonSpec, Positive, Rule


class ZoneSpec(PolygonSpec):
    """Tells who enters and leaves a polygon, and who stays for too long."""

    kind: Literal["zone"] = "zone"

    hysteresis: Duration = 0.1
    """Who went over the border counts as over it when so far from it, in heights of its box."""

    loiter_s: Positive | None = None
    """Who stays for so long is told as loitering, once a stay, seconds; by default nobody."""


class ZoneRule(Rule[ZoneSpec]):
    """A zone at one camera."""

    def __init__(self, name: str, spec: ZoneSpec) -> None:
        super().__init__(name, spec)
        self._entered = self._left = 0

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        polygon = np.array(self._placed.points)
        self._presence = Presence(polygon, self.spec.anchor, self.spec.hysteresis)

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        for change in self._presence.step(steps):
            yield from self._changed(change)
        if self.spec.loiter_s is not None:
            places = self._anchors(steps.to_xyxy)
            for row, pts_ns in self._presence.overdue(steps, round(self.spec.loiter_s * 1e9)):
                yield self._event("loiter", steps, row, places[row], pts_ns, self.spec.loiter_s)

    def tally(self) -> Mapping[str, int]:
        return {"inside": self._presence.count, "entered": self._entered, "left": self._left}

    def _changed(self, change: Change) -> Iterator[Event]:
        at = float(change.at[0]), float(change.at[1])
        who = change.track, change.label, at
        self._entered += change.inside
        self._left += not change.inside
        if change.inside:
            yield Event(self.name, "enter", change.pts_ns, *who)
            return
        stayed_s, limit_s = change.stayed_ns / 1e9, self.spec.loiter_s
        if limit_s is not None and stayed_s >= limit_s and not change.told:
            # It was there for long enough, and left before it was detected there again.
            late_ns = change.pts_ns - change.stayed_ns + round(limit_s * 1e9)
            yield Event(self.name, "loiter", late_ns, *who, value=limit_s)
        yield Event(self.name, "leave", change.pts_ns, *who, value=stayed_s)

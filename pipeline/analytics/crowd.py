"""Crowds: a zone with too many in it, for too long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.analytics.event import Event
from pipeline.analytics.paths import Steps
from pipeline.analytics.presence import Presence
from pipeline.analytics.rule import Duration, PolygonSpec, Rule


class CrowdSpec(PolygonSpec):
    """Tells when too many are in a polygon, and when they are not any more."""

    kind: Literal["crowd"] = "crowd"

    at_least: Annotated[int, Field(ge=1)]
    """So many are too many."""

    calm_at: Annotated[int, Field(ge=0)] | None = None
    """With so many, or fewer, it is calm again; by default one less than `at_least`."""

    for_s: Duration = 5.0
    """Too many have to be there for so long, and few enough until it is calm, seconds."""

    hysteresis: Duration = 0.1
    """As of a zone."""

    @model_validator(mode="after")
    def _is_calm_below(self) -> Self:
        if self.calm_at is not None and self.calm_at >= self.at_least:
            raise ValueError(f"calm_at {self.calm_at} is not below at_least {self.at_least}")
        return self


class CrowdRule(Rule[CrowdSpec]):
    """A zone that may be crowded, at one camera."""

    def __init__(self, name: str, spec: CrowdSpec) -> None:
        super().__init__(name, spec)
        self._wait_ns = round(spec.for_s * 1e9)
        self._count = self._crowds = 0
        self._crowded = False
        #: When there became too many, of a crowd.
        self._since_ns = 0
        #: Since when it would be otherwise, if it stays so; None: it is as it is.
        self._turning_ns: int | None = None
        #: Until when all that happened is taken into account.
        self._now_ns = 0

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        self._polygon = np.array(self._placed.points)
        self._presence = Presence(self._polygon, self.spec.anchor, self.spec.hysteresis)

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        changes = self._presence.step(steps)
        for change in sorted(changes, key=lambda change: change.pts_ns):
            # What is known of a moment only later, happens for us when we learn of it.
            yield from self._pass(max(change.pts_ns, self._now_ns))
            self._count += 1 if change.inside else -1
            self._turn()
        yield from self._pass(max(steps.pts_ns, self._now_ns))

    def tally(self) -> Mapping[str, int]:
        return {"inside": self._count, "crowds": self._crowds}

    def _turn(self) -> None:
        """The count has changed just now."""
        calm_at = self.spec.at_least - 1 if self.spec.calm_at is None else self.spec.calm_at
        turns = self._count <= calm_at if self._crowded else self._count >= self.spec.at_least
        if not turns:
            self._turning_ns = None
        elif self._turning_ns is None:
            self._turning_ns = self._now_ns

    def _pass(self, until_ns: int) -> Iterator[Event]:
        """Time passes, and the count stays as it is."""
        self._now_ns = until_ns
        begun_ns = self._turning_ns
        if begun_ns is None or until_ns - begun_ns < self._wait_ns:
            return
        self._turning_ns, self._crowded = None, not self._crowded
        x, y = self._polygon.mean(axis=0).tolist()
        about = begun_ns + self._wait_ns, 0, -1, (x, y)
        if self._crowded:
            self._since_ns = begun_ns
            self._crowds += 1
            yield Event(self.name, "crowd", *about, value=float(self._count))
        else:
            lasted_s = (begun_ns - self._since_ns) / 1e9
            yield Event(self.name, "calm", *about, value=lasted_s)

"""Lines: who goes over them, and in which direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.analytics.border import Border
from pipeline.analytics.crossings import Crossings
from pipeline.analytics.event import Event
from pipeline.analytics.paths import Steps
from pipeline.analytics.rule import Duration, Rule, RuleSpec
from pipeline.tracking.zones import Point


class LineSpec(RuleSpec):
    """Counts who goes over a line, in each direction."""

    kind: Literal["line"] = "line"

    points: Annotated[tuple[Point, ...], Field(strict=False, min_length=2)]
    """Points [x, y] of the line in order, two or more."""

    directions: Annotated[
        tuple[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]],
        Field(strict=False),
    ] = ("in", "out")
    """Names of going to its right and to its left side, seen from the first point to the last."""

    hysteresis: Duration = 0.1
    """A crossing counts when the object is so far from the line, in heights of its box."""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if len(set(self.points)) < 2:
            raise ValueError("expected two points or more that are not in one place")
        if self.directions[0] == self.directions[1]:
            raise ValueError("both directions have the same name")
        return self


class LineRule(Rule[LineSpec]):
    """A line at one camera."""

    def __init__(self, name: str, spec: LineSpec) -> None:
        super().__init__(name, spec)
        self._counts: Counter[str] = Counter(dict.fromkeys(spec.directions, 0))

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        border = Border(np.array(self._placed.points))
        self._crossings = Crossings(border, self.spec.hysteresis)

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        a, b = self._anchors(steps.from_xyxy), self._anchors(steps.to_xyxy)
        for crossing in self._crossings.step(steps, a, b):
            if crossing.net:
                direction = self.spec.directions[0 if crossing.net > 0 else 1]
                self._counts[direction] += 1
                event = self._event("cross", steps, crossing.row, crossing.at, crossing.pts_ns)
                yield replace(event, direction=direction)

    def tally(self) -> Mapping[str, int]:
        return dict(self._counts)

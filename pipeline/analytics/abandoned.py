"""What was left: things that stand still, and whoever brought them is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.analytics.event import Event
from pipeline.analytics.paths import Classes, Steps
from pipeline.analytics.roll import Ids, Roll
from pipeline.analytics.rule import AreaSpec, Positive, Rule, numbers
from pipeline.tracking.motion import Floats


class AbandonedSpec(AreaSpec):
    """Tells of things that were left behind."""

    labelled: ClassVar[tuple[str, ...]] = ("classes", "by")

    kind: Literal["abandoned"] = "abandoned"

    classes: Annotated[tuple[str | int, ...], Field(strict=False, min_length=1)]
    """Labels of the things, such as suitcase and backpack."""

    by: Annotated[tuple[str | int, ...], Field(strict=False, min_length=1)] = ("person",)
    """Labels of those who may have brought them."""

    for_s: Positive = 30.0
    """A thing is told when it stood alone for so long, seconds."""

    near: Positive = 1.0
    """Who is not farther from a thing is with it, in heights of their own box."""

    radius: Positive = 0.5
    """A thing that gets farther from where it came to stand is carried, in heights of its box."""

    def groups(self) -> tuple[Classes, ...]:
        return numbers(self.classes), numbers(self.by)


@dataclass(slots=True)
class _Thing:
    """A thing that stands.

    Attributes:
        place: where it came to stand, (2,) pixels.
        owner: track of whoever brought it; 0 where nobody was there.
        alone_ns: since when that one is away; None while it is there.
        told: whether it was told as abandoned.
    """

    place: Floats
    owner: int = 0
    alone_ns: int | None = None
    told: bool = False


class AbandonedRule(Rule[AbandonedSpec]):
    """Where things may be left, at one camera."""

    def __init__(self, name: str, spec: AbandonedSpec) -> None:
        super().__init__(name, spec)
        self._wait_ns = round(spec.for_s * 1e9)
        self._count = 0

    def place(self, width: int, height: int) -> None:
        super().place(width, height)
        self._things: dict[int, _Thing] = {}
        self._people = Roll([("foot", np.float64, (2,)), ("height", np.float64)])

    def step(self, steps: Steps, *others: Steps) -> Iterator[Event]:
        (people,) = others
        self._follow(people)
        for track in steps.ended.ids.tolist():
            self._things.pop(track, None)
        places = self._anchors(steps.to_xyxy)
        here, reach = self._here(places), self.spec.radius * steps.heights()
        for row, track in enumerate(steps.ids.tolist()):
            thing = self._things.get(track)
            away = thing is not None and np.hypot(*(places[row] - thing.place)) > reach[row]
            if thing is None or away or not here[row]:
                thing = self._things[track] = _Thing(places[row])
            self._attend(thing, places[row], steps.pts_ns)
            if self._is_due(thing, steps.pts_ns):
                thing.told = True
                self._count += 1
                pts_ns = (thing.alone_ns or 0) + self._wait_ns
                yield self._event("abandoned", steps, row, places[row], pts_ns, self.spec.for_s)

    def tally(self) -> Mapping[str, int]:
        now = sum(thing.told for thing in self._things.values())
        return {"now": now, "abandoned": self._count}

    def _is_due(self, thing: _Thing, pts_ns: int) -> bool:
        """Whether it is to be told now."""
        alone_ns = thing.alone_ns
        return alone_ns is not None and not thing.told and pts_ns - alone_ns >= self._wait_ns

    def _follow(self, people: Steps) -> None:
        """Takes in where people are. Who is hidden for a moment is where they were."""
        self._people.drop(people.ended.ids)
        rows, _ = self._people.rows(people.ids)
        feet = people.to_xyxy[:, [0, 2]].mean(axis=1), people.to_xyxy[:, 3]
        self._people.records["foot"][rows] = np.stack(feet, axis=1)
        self._people.records["height"][rows] = people.heights()

    def _attend(self, thing: _Thing, place: Floats, pts_ns: int) -> None:
        """Finds out whether whoever brought it is with it."""
        near = self._near(place)
        if len(near) and (not thing.owner or self._broke_off(thing)):
            thing.owner = int(near[0])
        if thing.owner in near:
            thing.alone_ns, thing.told = None, False
        elif thing.alone_ns is None:
            thing.alone_ns = pts_ns

    def _broke_off(self, thing: _Thing) -> bool:
        """Whether its owner's track has ended beside it: who is there now may be the same."""
        return thing.alone_ns is None and not self._people.known(np.array([thing.owner])).item()

    def _near(self, place: Floats) -> Ids:
        """Who is near a place (2,), the nearest first: (K,) ids."""
        people = self._people.records
        distances = np.hypot(*(people["foot"] - place).T)
        near = distances <= self.spec.near * people["height"]
        ids: Ids = people["id"][near][distances[near].argsort(kind="stable")]
        return ids

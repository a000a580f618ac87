"""What every rule has in common: what a configuration may say of it, and what it is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.analytics.event import Event, EventKind
from pipeline.analytics.paths import Classes, Steps
from pipeline.tracking.motion import Floats
from pipeline.tracking.zones import Anchor, Mask, Point, Shape, anchors, in_polygon

Duration = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Angle = Annotated[float, Field(gt=0, lt=180)]


class RuleSpec(Shape):
    """What every rule may say."""

    #: The keys that hold names of classes.
    labelled: ClassVar[tuple[str, ...]] = ("classes",)

    cameras: Annotated[tuple[str, ...] | None, Field(strict=False, min_length=1)] = None
    """Ids of the cameras it is for; all by default."""

    # Numbers, once it is known what the detector calls them.
    classes: Annotated[tuple[str | int, ...] | None, Field(strict=False, min_length=1)] = None
    """Labels of the tracks it is for; all by default. Others do not exist for it."""

    anchor: Anchor = "foot"
    """The point of a box that stands for the object, as in `screening.zones`."""

    def groups(self) -> tuple[Classes, ...]:
        """The classes of which it wants the steps, each by itself."""
        return (numbers(self.classes),)


class PolygonSpec(RuleSpec):
    """A rule of a polygon."""

    points: Annotated[tuple[Point, ...], Field(strict=False, min_length=3)]
    """Corners [x, y] of the polygon in order, three or more."""

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        _refuse_flat(self.points)
        return self


class AreaSpec(RuleSpec):
    """A rule of the whole picture, or of a part of it."""

    points: Annotated[tuple[Point, ...], Field(strict=False)] = ()
    """Corners [x, y] of the polygon in which it holds; by default all of the picture."""

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        if self.points:
            _refuse_flat(self.points)
        return self


Spec = TypeVar("Spec", bound=RuleSpec)


class Rule(ABC, Generic[Spec]):
    """One rule at one camera. It knows tracks and times, and nothing of frames.

    Args:
        name: in the configuration.
        spec: what that says, with numbers for classes.
    """

    def __init__(self, name: str, spec: Spec) -> None:
        self.name = name
        self.spec = spec
        self._placed = spec

    def place(self, width: int, height: int) -> None:
        """From now on pictures have this size, pixels; called first, and while no path is open."""
        self._placed = self.spec.in_pixels(width, height)

    @abstractmethod
    def step(self, steps: Steps, *others: Steps) -> Iterable[Event]:
        """What happened.

        Args:
            steps: of the first of the spec's `groups`.
            *others: of the rest.
        """

    @abstractmethod
    def tally(self) -> Mapping[str, int]:
        """What was counted, and how many there are now."""

    def _anchors(self, boxes_xyxy: NDArray[np.float64]) -> Floats:
        """The points (N, 2) that stand for boxes (N, 4)."""
        return anchors(boxes_xyxy, self.spec.anchor)

    def _here(self, points: Floats) -> Mask:
        """Which points (N, 2) are in the part of the picture in which the rule holds: mask (N,)."""
        if not self._placed.points:
            return np.ones(len(points), np.bool_)
        return in_polygon(points, np.array(self._placed.points))

    def _event(
        self,
        kind: EventKind,
        steps: Steps,
        row: int,
        at: Floats,
        pts_ns: int | None = None,
        value: float = float("nan"),
    ) -> Event:
        """Something that a track did: in this frame, or at `pts_ns`."""
        moment, x, y = steps.pts_ns if pts_ns is None else pts_ns, float(at[0]), float(at[1])
        track, label = int(steps.ids[row]), int(steps.labels[row])
        return Event(self.name, kind, moment, track, label, (x, y), value=value)


def numbers(classes: tuple[str | int, ...] | None) -> Classes:
    """Those among the classes that are numbers; None: all there are."""
    if classes is None:
        return None
    return tuple(number for number in classes if isinstance(number, int))


def _refuse_flat(points: tuple[tuple[float, float], ...]) -> None:
    """Raises `ValueError` unless these are the corners of something that has an area."""
    corners = np.array(points)
    if len(corners) < 3 or np.linalg.matrix_rank(corners - corners[0]) < 2:
        raise ValueError("expected three corners or more that are not on one line")

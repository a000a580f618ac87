"""Shapes in the picture, the points that boxes stand for, and which boxes are in which zones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.tracking.motion import Floats

Mask = NDArray[np.bool_]

_Coordinate = Annotated[float, Field(allow_inf_nan=False)]
# Not strict: a list is what YAML has for a tuple.
Point = Annotated[tuple[_Coordinate, _Coordinate], Field(strict=False)]

Anchor = Literal[
    "foot", "centre", "head", "left", "right",
    "top_left", "top_right", "bottom_left", "bottom_right",
]  # fmt: skip
#: Of a box: how far each lies to the right and down, in its widths and heights.
_PLACES: dict[Anchor, tuple[float, float]] = {
    "foot": (0.5, 1.0),
    "centre": (0.5, 0.5),
    "head": (0.5, 0.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top_left": (0.0, 0.0),
    "top_right": (1.0, 0.0),
    "bottom_left": (0.0, 1.0),
    "bottom_right": (1.0, 1.0),
}


class Shape(BaseModel):
    """Points in the picture."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    #: The keys that hold points.
    placed: ClassVar[tuple[str, ...]] = ("points",)

    points: Annotated[tuple[Point, ...], Field(strict=False)] = ()
    """Points [x, y] in order, from the picture's left and top."""

    unit: Literal["fraction", "pixels"] = "fraction"
    """Of points: fractions of the picture's width and height, 0..1, or source pixels."""

    @model_validator(mode="after")
    def _inside(self) -> Self:
        values = [value for key in self.placed for point in getattr(self, key) for value in point]
        if self.unit == "fraction" and values and not 0 <= min(values) <= max(values) <= 1:
            raise ValueError("a point is outside 0..1; write unit: pixels if it is in pixels")
        return self

    def in_pixels(self, width: int, height: int) -> Self:
        """The same shape in a picture of this size."""
        if self.unit == "pixels":
            return self
        points = {
            key: tuple((x * width, y * height) for x, y in getattr(self, key))
            for key in self.placed
        }
        return self.model_copy(update={**points, "unit": "pixels"})


class Zone(Shape):
    """A polygon in the picture; its border is part of it."""

    points: Annotated[tuple[Point, ...], Field(strict=False, min_length=3)]
    """Corners [x, y] in order, three or more, from the picture's left and top."""

    anchor: Anchor = "foot"
    """The point of a box that has to be inside: foot and head are the middles of its lower and its
    upper edge, centre that of the box, left and right those of its sides; or a corner."""

    exclude: bool = False
    """Tracks inside are not given out, instead of those outside."""


def within(zones: Sequence[Zone], boxes_xyxy: NDArray[Any]) -> Mask:
    """Which boxes are in an included zone, where there is any, and in no excluded one.

    Args:
        zones: in pixels.
        boxes_xyxy: (N, 4), pixels.
    """
    included = np.full(len(boxes_xyxy), all(zone.exclude for zone in zones))
    excluded = np.zeros(len(boxes_xyxy), np.bool_)
    for zone in zones:
        inside = in_polygon(anchors(boxes_xyxy, zone.anchor), np.array(zone.points))
        if zone.exclude:
            excluded |= inside
        else:
            included |= inside
    return included & ~excluded


def in_polygon(points: NDArray[Any], polygon: NDArray[Any]) -> Mask:
    """Which points (N, 2) are inside a polygon (P, 2) or on its border: (N,).

    By the even-odd rule: a ray from an inner point to the right crosses an odd number of edges.
    """
    x, y = points[:, :1], points[:, 1:]
    ends = np.roll(polygon, -1, 0)
    falling = (polygon[:, 1] <= ends[:, 1])[:, None]
    (x1, y1), (x2, y2) = np.where(falling, polygon, ends).T, np.where(falling, ends, polygon).T
    side = (x - x1) * (y2 - y1) - (x2 - x1) * (y - y1)  # below 0: the edge is to the right
    crossed = (y1 <= y) & (y < y2) & (side < 0)
    odd = np.count_nonzero(crossed, axis=1) % 2 == 1
    beside = (np.minimum(x1, x2) <= x) & (x <= np.maximum(x1, x2)) & (y1 <= y) & (y <= y2)
    inside: Mask = odd | (beside & (side == 0)).any(axis=1)
    return inside


def anchors(boxes_xyxy: NDArray[Any], anchor: Anchor) -> Floats:
    """The points (N, 2) float64 that boxes (N, 4) stand for."""
    right, down = _PLACES[anchor]
    low, high = boxes_xyxy[:, :2].astype(np.float64), boxes_xyxy[:, 2:].astype(np.float64)
    share = np.array((right, down))
    points: Floats = low * (1 - share) + high * share
    return points

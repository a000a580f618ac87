"""Zones of the picture, and which boxes are in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.tracking.motion import Floats

Mask = NDArray[np.bool_]

_Coordinate = Annotated[float, Field(allow_inf_nan=False)]
# Not strict: a list is what YAML has for a tuple.
_Point = Annotated[tuple[_Coordinate, _Coordinate], Field(strict=False)]


class Zone(BaseModel):
    """A polygon in the picture; its border is part of it."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    points: Annotated[tuple[_Point, ...], Field(strict=False, min_length=3)]
    """Corners [x, y] in order, three or more, from the picture's left and top."""

    unit: Literal["fraction", "pixels"] = "fraction"
    """Of the corners: fractions of the picture's width and height, 0..1, or source pixels."""

    anchor: Literal["foot", "centre"] = "foot"
    """The point of a box that has to be inside: the middle of its lower edge, or of the box."""

    exclude: bool = False
    """Tracks inside are not given out, instead of those outside."""

    @model_validator(mode="after")
    def _consistent(self) -> Zone:
        values = [value for point in self.points for value in point]
        if self.unit == "fraction" and not 0 <= min(values) <= max(values) <= 1:
            raise ValueError("a corner is outside 0..1; write unit: pixels if it is in pixels")
        return self

    def in_pixels(self, width: int, height: int) -> Zone:
        """The same zone in a picture of this size."""
        if self.unit == "pixels":
            return self
        points = tuple((x * width, y * height) for x, y in self.points)
        return self.model_copy(update={"points": points, "unit": "pixels"})


def within(zones: Sequence[Zone], boxes_xyxy: NDArray[Any]) -> Mask:
    """Which boxes are in an included zone, where there is any, and in no excluded one.

    Args:
        zones: in pixels.
        boxes_xyxy: (N, 4), pixels.
    """
    included = np.full(len(boxes_xyxy), all(zone.exclude for zone in zones))
    excluded = np.zeros(len(boxes_xyxy), np.bool_)
    for zone in zones:
        inside = in_polygon(_anchors(zone, boxes_xyxy), np.array(zone.points))
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


def _anchors(zone: Zone, boxes_xyxy: NDArray[Any]) -> Floats:
    """The points of the boxes (N, 4) that have to be inside, (N, 2)."""
    low, high = boxes_xyxy[:, :2].astype(np.float64), boxes_xyxy[:, 2:]
    anchors: Floats = (low + high) / 2
    if zone.anchor == "foot":
        anchors[:, 1] = boxes_xyxy[:, 3]
    return anchors

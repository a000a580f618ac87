"""When a track is seen well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]

#: A box this near to the picture's border may go on outside, as a part of the picture's side.
_BORDER = 0.005
#: What such a one is worth beside a whole one.
_CUT_OFF = 0.4


@dataclass(frozen=True, slots=True)
class Sight:
    """A moment in which a track is seen well.

    Attributes:
        worth: more is better.
        pts_ns: when.
        box_xyxy: where, in pixels of the picture of that moment.
    """

    worth: float
    pts_ns: int
    box_xyxy: Box


def look(told: Mapping[str, Any], line: Mapping[str, Any], best: Sight | None) -> Sight | None:
    """The better of a track's best moment so far and this one.

    A sight is worth more the surer the detector was and the larger the object is, and less where
    the picture's border or another object in front (its feet are lower) may hide a part.

    Args:
        told: the track, as a line of ``tracks.jsonl`` has it.
        line: the line.
        best: so far.
    """
    x1, y1, x2, y2 = told["box"]
    area = (x2 - x1) * (y2 - y1)
    dx, dy = _BORDER * line["width"], _BORDER * line["height"]
    whole = x1 > dx and y1 > dy and x2 < line["width"] - dx and y2 < line["height"] - dy
    worth = told["score"] * math.sqrt(max(area, 0.0)) * (1.0 if whole else _CUT_OFF)
    if worth <= (best.worth if best else 0.0):
        return best
    hidden = max(
        (
            _common(told["box"], other["box"])
            for other in line["tracks"]
            if other["id"] != told["id"] and other["box"][3] > y2
        ),
        default=0.0,
    )
    worth *= 1 - hidden / area
    if best is not None and worth <= best.worth:
        return best
    return Sight(worth, line["pts_ns"], (x1, y1, x2, y2))


def _common(a: Box, b: Box) -> float:
    """Area of the intersection, pixels²."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0

"""What everything is drawn with: colours, pens, boxes, tags, panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Color = tuple[int, int, int]
Point = tuple[int, int]
Rect = tuple[int, int, int, int]  # x, y, width, height

#: cv2's fixed point: 1/16 pixel.
SHIFT = 4

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Color = (255, 255, 255)
_DARK: Color = (24, 24, 24)
_GOLDEN = 0.618033988749895


def track_color(track_id: int) -> Color:
    """A colour (BGR) for an identity, always the same; neighbours in number differ much.

    The hue goes around by the golden ratio, which spreads any run of ids evenly.
    """
    hue = int(track_id * _GOLDEN % 1.0 * 180)
    saturation, value = (220, 255) if track_id % 2 else (170, 235)
    hsv = np.array([[[hue, saturation, value]]], np.uint8)
    b, g, r = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return b, g, r


@dataclass(frozen=True, slots=True)
class Pen:
    """Sizes that fit a picture.

    Attributes:
        line: thickness of a box's outline, pixels.
        font: scale of the text, in cv2's units.
        stroke: thickness of the text, pixels.
        pad: around a text, pixels.
    """

    line: int
    font: float
    stroke: int
    pad: int

    @staticmethod
    def for_picture(width: int, height: int) -> Pen:
        """Sizes that look alike whatever the resolution."""
        unit = max(width, height * 16 / 9) / 640
        return Pen(
            max(1, round(1.4 * unit)),
            max(0.36, 0.38 * unit),
            max(1, round(unit)),
            max(2, round(3 * unit)),
        )


def fixed(x: float, y: float) -> Point:
    """A place in pixels in cv2's fixed point."""
    return round(x * (1 << SHIFT)), round(y * (1 << SHIFT))


def draw_box(canvas: Image, box: Sequence[float], color: Color, pen: Pen, *, dashed: bool) -> None:
    """The outline of a box (x1, y1, x2, y2) in pixels; dashed, its corners only."""
    (x1, y1), (x2, y2) = fixed(box[0], box[1]), fixed(box[2], box[3])
    if not dashed:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color, pen.line, cv2.LINE_AA, SHIFT)
        return
    reach_x, reach_y = (x2 - x1) // 4, (y2 - y1) // 4
    for x, dx in ((x1, reach_x), (x2, -reach_x)):  # a prediction shows its corners only
        for y, dy in ((y1, reach_y), (y2, -reach_y)):
            cv2.line(canvas, (x, y), (x + dx, y), color, pen.line, cv2.LINE_AA, SHIFT)
            cv2.line(canvas, (x, y), (x, y + dy), color, pen.line, cv2.LINE_AA, SHIFT)


def draw_tag(
    canvas: Image, text: str, box: Sequence[float], color: Color, pen: Pen, taken: list[Rect]
) -> None:
    """A text on its colour at a box, where no other tag is, if there is such a place."""
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, pen.font, pen.stroke)
    width, height = text_w + 2 * pen.pad, text_h + base + pen.pad
    x = max(0, min(round(box[0]), canvas.shape[1] - width))
    top, foot = round(box[1]), round(box[3])
    places: list[Rect] = [
        (x, max(0, min(y, canvas.shape[0] - height)), width, height)
        for y in (top - height, top, top - 2 * height, foot - height, foot)
    ]
    free = (place for place in places if not any(_overlap(place, other) for other in taken))
    place = next(free, places[0])
    taken.append(place)
    x, y = place[:2]
    cv2.rectangle(canvas, (x, y), (x + width, y + height), color, cv2.FILLED)
    ink = _DARK if 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2] > 110 else _WHITE
    at = (x + pen.pad, y + text_h + pen.pad // 2)
    cv2.putText(canvas, text, at, _FONT, pen.font, ink, pen.stroke, cv2.LINE_AA)


def _overlap(a: Rect, b: Rect) -> bool:
    return abs(2 * (a[0] - b[0]) + a[2] - b[2]) < a[2] + b[2] and (
        abs(2 * (a[1] - b[1]) + a[3] - b[3]) < a[3] + b[3]
    )


def panel_size(text: str, pen: Pen) -> tuple[int, int]:
    """Width and height of the panel of a text, pixels."""
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, pen.font, pen.stroke)
    return text_w + 4 * pen.pad, text_h + base + 2 * pen.pad


def draw_panel(canvas: Image, text: str, corner: Point, pen: Pen) -> None:
    """White text on a darkened part of the picture."""
    (x, y), (width, height) = corner, panel_size(text, pen)
    part = canvas[y : y + height, x : x + width]
    part[:] = part // 3
    (_, text_h), _ = cv2.getTextSize(text, _FONT, pen.font, pen.stroke)
    at = (x + 2 * pen.pad, y + text_h + pen.pad)
    cv2.putText(canvas, text, at, _FONT, pen.font, _WHITE, pen.stroke, cv2.LINE_AA)


def draw_banner(canvas: Image, text: str, color: Color, pen: Pen) -> None:
    """A bar across the foot of the picture, and a frame around it in the same colour."""
    height, width = canvas.shape[:2]
    font, stroke = 1.5 * pen.font, pen.stroke + 1
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, font, stroke)
    top = height - text_h - base - 3 * pen.pad
    cv2.rectangle(canvas, (0, top), (width, height), color, cv2.FILLED)
    cv2.rectangle(canvas, (0, 0), (width - 1, height - 1), color, 2 * pen.line)
    at = (max(pen.pad, (width - text_w) // 2), height - base - pen.pad)
    cv2.putText(canvas, text, at, _FONT, font, _WHITE, stroke, cv2.LINE_AA)

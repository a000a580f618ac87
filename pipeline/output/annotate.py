"""Drawing what was found on a copy of the picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.output.message import Message
from pipeline.packet import Status
from pipeline.tracking.track import TrackState

Image = NDArray[np.uint8]
Color = tuple[int, int, int]
Point = tuple[int, int]
Rect = tuple[int, int, int, int]  # x, y, width, height

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Color = (255, 255, 255)
_DARK: Color = (24, 24, 24)
_BANNERS: dict[Status, Color] = {
    Status.COASTING: (150, 110, 30),
    Status.DAMAGED: (0, 120, 220),
    Status.STALLED: (0, 120, 220),
    Status.BLIND: (30, 30, 210),
}
_SHIFT = 4  # cv2's fixed point: 1/16 pixel
_GOLDEN = 0.618033988749895
_MOST_TRAIL_POINTS = 128


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


class Annotator:
    """Draws one camera's messages, in their order; keeps the tracks' trails.

    Args:
        labels: class names by label index.
        trails_s: length of the trails in seconds, 0 for none.
        latency: whether to show the frame's age.
    """

    def __init__(
        self, labels: Sequence[str] = (), trails_s: float = 2.0, latency: bool = True
    ) -> None:
        self._labels = labels
        self._trails_ns = round(trails_s * 1e9)
        self._latency = latency
        self._trails: dict[int, deque[tuple[int, Point]]] = {}

    def draw(self, image_bgr: Image, message: Message) -> Image:
        """The picture with everything on it.

        Args:
            image_bgr: (height, width, 3) uint8; not changed.
            message: of this picture, with its boxes in this picture's pixels.

        Returns:
            A new array of the same shape.
        """
        canvas = image_bgr.copy()
        height, width = canvas.shape[:2]
        pen = Pen.for_picture(width, height)
        self._remember(message)
        self._draw_trails(canvas, message, pen)
        tracks = message.tracks
        named = [attribute.values.tolist() for attribute in tracks.attributes.values()]
        rows = zip(
            tracks.ids.tolist(),
            tracks.boxes_xyxy.tolist(),
            tracks.scores.tolist(),
            tracks.labels.tolist(),
            (tracks.unseen_s > 0) | (tracks.states == TrackState.LOST),
            *named,
            strict=True,
        )
        tags = []
        for track, box, score, label, predicted, *attributes in rows:
            color = track_color(track)
            draw_box(canvas, box, color, pen, dashed=bool(predicted))
            name = self._labels[label] if label < len(self._labels) else str(label)
            words = filter(None, (str(track), *attributes, name, f"{score:.2f}"))
            tags.append((" ".join(words), box, color))
        taken: list[Rect] = []
        for text, box, color in tags:  # over all boxes, so that each can be read
            draw_tag(canvas, text, box, color, pen, taken)
        self._draw_overlay(canvas, message, pen)
        return canvas

    def _remember(self, message: Message) -> None:
        """Adds where the tracks stand; forgets what is older than a trail, or of another epoch."""
        now = message.pts_ns
        if not self._trails_ns:
            return
        tracks = message.tracks
        feet = np.stack(
            [(tracks.boxes_xyxy[:, 0] + tracks.boxes_xyxy[:, 2]) / 2, tracks.boxes_xyxy[:, 3]], 1
        )
        for track, (x, y) in zip(tracks.ids.tolist(), feet.tolist(), strict=True):
            trail = self._trails.setdefault(track, deque(maxlen=_MOST_TRAIL_POINTS))
            trail.append((now, (round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT)))))
        for track, trail in list(self._trails.items()):
            while trail and not now - self._trails_ns <= trail[0][0] <= now:
                trail.popleft()
            if not trail:
                del self._trails[track]

    def _draw_trails(self, canvas: Image, message: Message, pen: Pen) -> None:
        """Lines under the tracks' feet, thinner and darker the older they are."""
        for track, trail in self._trails.items():
            color = np.array(track_color(track), np.float64)
            points = list(trail)
            for (_, start), (at_ns, end) in pairwise(points):
                fresh = 1 - (message.pts_ns - at_ns) / self._trails_ns
                faded = tuple((color * (0.35 + 0.65 * fresh)).tolist())
                thickness = max(1, round(pen.line * (0.5 + fresh)))
                cv2.line(canvas, start, end, faded, thickness, cv2.LINE_AA, _SHIFT)

    def _draw_overlay(self, canvas: Image, message: Message, pen: Pen) -> None:
        parts = [message.camera, f"{message.pts_ns / 1e9:.2f} s", f"{len(message.tracks)} tracks"]
        if message.engine:
            parts.append(message.engine)
        if self._latency and message.age_ms is not None:
            parts.append(f"{message.age_ms:.0f} ms")
        _panel(canvas, "  |  ".join(parts), (0, 0), pen)
        if message.status is not Status.OK:
            text = message.status.name + (f": {message.reason}" if message.reason else "")
            _banner(canvas, text, _BANNERS[message.status], pen)


def draw_box(canvas: Image, box: Sequence[float], color: Color, pen: Pen, *, dashed: bool) -> None:
    """The outline of a box (x1, y1, x2, y2) in pixels; dashed, its corners only."""
    x1, y1, x2, y2 = (round(v * (1 << _SHIFT)) for v in box)
    if not dashed:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color, pen.line, cv2.LINE_AA, _SHIFT)
        return
    reach_x, reach_y = (x2 - x1) // 4, (y2 - y1) // 4
    for x, dx in ((x1, reach_x), (x2, -reach_x)):  # a prediction shows its corners only
        for y, dy in ((y1, reach_y), (y2, -reach_y)):
            cv2.line(canvas, (x, y), (x + dx, y), color, pen.line, cv2.LINE_AA, _SHIFT)
            cv2.line(canvas, (x, y), (x, y + dy), color, pen.line, cv2.LINE_AA, _SHIFT)


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


def _panel(canvas: Image, text: str, corner: Point, pen: Pen) -> None:
    """White text on a darkened part of the picture."""
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, pen.font, pen.stroke)
    x, y = corner
    part = canvas[y : y + text_h + base + 2 * pen.pad, x : x + text_w + 4 * pen.pad]
    part[:] = part // 3
    at = (x + 2 * pen.pad, y + text_h + pen.pad)
    cv2.putText(canvas, text, at, _FONT, pen.font, _WHITE, pen.stroke, cv2.LINE_AA)


def _banner(canvas: Image, text: str, color: Color, pen: Pen) -> None:
    """A bar across the foot of the picture, and a frame around it in the same colour."""
    height, width = canvas.shape[:2]
    font, stroke = 1.5 * pen.font, pen.stroke + 1
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, font, stroke)
    top = height - text_h - base - 3 * pen.pad
    cv2.rectangle(canvas, (0, top), (width, height), color, cv2.FILLED)
    cv2.rectangle(canvas, (0, 0), (width - 1, height - 1), color, 2 * pen.line)
    at = (max(pen.pad, (width - text_w) // 2), height - base - pen.pad)
    cv2.putText(canvas, text, at, _FONT, font, _WHITE, stroke, cv2.LINE_AA)

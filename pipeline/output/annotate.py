"""Drawing what was found on a copy of the picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from pipeline.output.drawing import (
    SHIFT,
    Color,
    Image,
    Pen,
    Point,
    Rect,
    draw_banner,
    draw_box,
    draw_panel,
    draw_tag,
    fixed,
    track_color,
)
from pipeline.output.message import Message
from pipeline.output.overlay import Outline, Overlay
from pipeline.packet import Status
from pipeline.tracking.track import TrackState

_BANNERS: dict[Status, Color] = {
    Status.COASTING: (150, 110, 30),
    Status.DAMAGED: (0, 120, 220),
    Status.STALLED: (0, 120, 220),
    Status.BLIND: (30, 30, 210),
}
_MOST_TRAIL_POINTS = 128


class Annotator:
    """Draws one camera's messages, in their order; keeps the tracks' trails.

    Args:
        labels: class names by label index.
        trails_s: length of the trails in seconds, 0 for none.
        latency: whether to show the frame's age.
        outlines: of the rules' lines and zones.
    """

    def __init__(
        self,
        labels: Sequence[str] = (),
        trails_s: float = 2.0,
        latency: bool = True,
        outlines: Sequence[Outline] = (),
    ) -> None:
        self._labels = labels
        self._trails_ns = round(trails_s * 1e9)
        self._latency = latency
        self._trails: dict[int, deque[tuple[int, Point]]] = {}
        self._overlay = Overlay(outlines)

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
        self._overlay.remember(message)
        self._overlay.draw_outlines(canvas, pen)
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
        self._overlay.draw(canvas, message, pen, taken)
        self._draw_header(canvas, message, pen)
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
            trail.append((now, fixed(x, y)))
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
                cv2.line(canvas, start, end, faded, thickness, cv2.LINE_AA, SHIFT)

    def _draw_header(self, canvas: Image, message: Message, pen: Pen) -> None:
        parts = [message.camera, f"{message.pts_ns / 1e9:.2f} s", f"{len(message.tracks)} tracks"]
        if message.engine:
            parts.append(message.engine)
        if self._latency and message.age_ms is not None:
            parts.append(f"{message.age_ms:.0f} ms")
        draw_panel(canvas, "  |  ".join(parts), (0, 0), pen)
        if message.status is not Status.OK:
            text = message.status.name + (f": {message.reason}" if message.reason else "")
            draw_banner(canvas, text, _BANNERS[message.status], pen)

"""What analytics found, over the picture: the rules' lines and zones, events, what is counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from pipeline.analytics.event import Event
from pipeline.analytics.rules import AnyRule
from pipeline.output.drawing import (
    SHIFT,
    Color,
    Image,
    Pen,
    Rect,
    draw_panel,
    draw_tag,
    fixed,
    panel_size,
)
from pipeline.output.events import in_words
from pipeline.output.message import Message

_QUIET: Color = (200, 190, 150)
_HAPPENED: Color = (40, 190, 255)
#: An event is shown for so long.
_SHOWN_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Outline:
    """A rule's line or zone.

    Attributes:
        rule: its name.
        points: (x, y), in their order.
        unit: of the points: fractions of the picture's width and height, or its pixels.
        closed: whether the last point is joined to the first: a zone.
        cameras: it is looked at; of all where there is none.
    """

    rule: str
    points: tuple[tuple[float, float], ...]
    unit: Literal["fraction", "pixels"] = "fraction"
    closed: bool = False
    cameras: tuple[str, ...] = ()


def outlines_of(rules: Mapping[str, AnyRule]) -> tuple[Outline, ...]:
    """The lines and zones of rules, by their names; a rule of the whole picture has none."""
    return tuple(
        Outline(name, rule.points, rule.unit, rule.kind != "line", rule.cameras or ())
        for name, rule in rules.items()
        if rule.points
    )


def of_camera(outlines: Sequence[Outline], camera: str) -> list[Outline]:
    """Those of the rules that look at a camera."""
    return [one for one in outlines if not one.cameras or camera in one.cameras]


class Overlay:
    """Draws one camera's analyses, in their order; remembers what happened in the last second.

    Args:
        outlines: what is drawn beneath.
    """

    def __init__(self, outlines: Sequence[Outline] = ()) -> None:
        self._outlines = outlines
        self._happened: deque[tuple[int, Event]] = deque()

    def remember(self, message: Message) -> None:
        """Adds what happened; forgets what is not shown any more, or of another time line."""
        now = message.pts_ns
        events = message.analysis.events if message.analysis is not None else ()
        self._happened.extend((now, event) for event in events)
        while self._happened and not now - _SHOWN_NS < self._happened[0][0] <= now:
            self._happened.popleft()

    def draw_outlines(self, canvas: Image, pen: Pen) -> None:
        """Lines and zones; bright where something has just happened."""
        bright = {event.rule for _, event in self._happened}
        for outline in self._outlines:
            draw_outline(canvas, outline, pen, bright=outline.rule in bright)

    def draw(self, canvas: Image, message: Message, pen: Pen, taken: list[Rect]) -> None:
        """Events at their places, and what is counted at the upper right.

        Args:
            taken: places of tags, to which its own are added.
        """
        for at_ns, event in self._happened:
            age = (message.pts_ns - at_ns) / _SHOWN_NS
            draw_event(canvas, event, pen, taken, age)
        if message.analysis is not None:
            _draw_tallies(canvas, message.analysis.tallies, pen)


def draw_outline(canvas: Image, outline: Outline, pen: Pen, *, bright: bool) -> None:
    """A line or zone, bright or quiet."""
    height, width = canvas.shape[:2]
    unit = (width, height) if outline.unit == "fraction" else (1, 1)
    points = np.array([fixed(x * unit[0], y * unit[1]) for x, y in outline.points], np.int32)
    color, line = (_HAPPENED, 2 * pen.line) if bright else (_QUIET, pen.line)
    cv2.polylines(canvas, [points], outline.closed, color, line, cv2.LINE_AA, SHIFT)


def draw_event(canvas: Image, event: Event, pen: Pen, taken: list[Rect], age: float = 0.0) -> None:
    """A ring at the event's place, the wider the older, with what happened in words.

    Args:
        taken: as `draw_tag`.
        age: 0..1 of the time for which it is shown.
    """
    x, y = event.at
    radius = pen.line * (4 + 8 * age)
    line = max(1, round(2 * pen.line * (1 - age)))
    center = fixed(x, y)
    cv2.circle(canvas, center, round(radius * (1 << SHIFT)), _HAPPENED, line, cv2.LINE_AA, SHIFT)
    around = (x - radius, y - radius, x + radius, y + radius)
    draw_tag(canvas, in_words(event), around, _HAPPENED, pen, taken)


def _draw_tallies(canvas: Image, tallies: Mapping[str, Mapping[str, int]], pen: Pen) -> None:
    """A panel a rule, one below the other, under the line at the top."""
    y = panel_size("", pen)[1]
    for rule, counts in tallies.items():
        text = "  ".join([rule, *(f"{name} {count}" for name, count in counts.items())])
        width, height = panel_size(text, pen)
        draw_panel(canvas, text, (max(0, canvas.shape[1] - width), y), pen)
        y += height

"""Charts as inline SVG: pure functions from numbers to marked-up text.

They hold no text but a title, which a screen reader reads and a pointer shows, and stretch to the
width they are given; labels of axes are the page's. Colours are classes of ``style.css``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup

#: Height of every chart in its own units.
_HEIGHT = 100.0
#: Room for what is beyond either end of a histogram, in bins.
_MARGIN = 3


@dataclass(frozen=True, slots=True)
class Block:
    """One rectangle of a skyline.

    Attributes:
        start: where it begins.
        length: how wide it is.
        height: 0 … 1.
        kind: class of its colour: ``first``, ``second``, ``third``, ``wrong``, ``ink``, or
            ``hue-0`` to ``hue-11`` where many are to be told apart.
        title: what it is.
    """

    start: float
    length: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Trail:
    """A way over a picture.

    Attributes:
        points: x and y in pixels, at least one.
        kind: class of its colour, as of a `Block`.
        title: whose it is.
    """

    points: Sequence[tuple[int, int]]
    kind: str
    title: str


def histogram_pair(
    first: Sequence[int], second: Sequence[int], title: str, below: int = 0, above: int = 0
) -> Markup:
    """Two histograms on the same bins, the first filled and the second drawn over it.

    Heights are logarithms of counts: what is rare counts here.

    Args:
        first: counts.
        second: as many.
        title: what they are.
        below: of the first, what is less than the lowest bin; drawn apart.
        above: likewise, more than the highest.
    """
    most = np.log1p(max(1, below, above, *first, *second))
    one, other, ends = (
        np.log1p(np.asarray(counts)) / most for counts in (first, second, [below, above])
    )
    width = len(first) + 2 * _MARGIN
    parts = [_path("first fill", _MARGIN, one), _path("second line", _MARGIN, other)]
    parts += [
        _path("wrong fill", start, [end])
        for start, end in zip((0.5, width - 1.5), ends.tolist(), strict=True)
        if end
    ]
    return _svg("histogram", width, title, parts)


def bar(part: float, title: str) -> Markup:
    """A horizontal bar, 0 … 1 of its width."""
    content = Markup('<rect class="second fill" width="{:.4g}" height="{:g}"/>')
    return _svg("bar", 1, title, [content.format(part, _HEIGHT)])


def line(values: Sequence[float], title: str, limit: float | None = None) -> Markup:
    """Values one after the other as dots that a line joins, with a limit across."""
    lines = [*values, *([] if limit is None else [limit])]
    low, high = min(lines), max(lines)
    room = (high - low) or 1.0
    heights = [0.9 * _HEIGHT - (value - low) / room * 0.8 * _HEIGHT for value in values]
    points = [f"{place + 0.5:g} {height:.1f}" for place, height in enumerate(heights)]
    draw = Markup('<path class="{}" d="{}"/>')
    parts = [
        draw.format("second line", "M" + "L".join(points)),
        draw.format("second dots", "".join(f"M{point}h0" for point in points)),
    ]
    if limit is not None:
        level = 0.9 * _HEIGHT - (limit - low) / room * 0.8 * _HEIGHT
        parts.insert(0, draw.format("limit line", f"M0 {level:.1f}H{len(values)}"))
    return _svg("plot", len(values), title, parts)


def curves(lines: Mapping[str, Sequence[float]], title: str) -> Markup:
    """Lines over the same places, on a scale from 0 at the foot to 1 at the top.

    Args:
        lines: values by class of colour: ``first``, ``second`` or ``third``; all equally many.
        title: what they are.
    """
    places = max(len(values) for values in lines.values()) - 1
    path = Markup('<path class="{}" d="M{}"/>')
    parts = [path.format("grid line", f"0 {level}H{places}") for level in (25, 50, 75)]
    for kind, values in lines.items():
        points = (f"{place} {_HEIGHT * (1 - value):.1f}" for place, value in enumerate(values))
        parts.append(path.format(f"{kind} line", "L".join(points)))
    return _svg("curves", places, title, parts)


def skyline(blocks: Sequence[Block], title: str, end: float | None = None) -> Markup:
    """Rectangles side by side, on a common ground: what is done when, and how much of it.

    Args:
        blocks: drawn in this order.
        title: what they are.
        end: of the ground, for several with the same scale; else where the last block ends.
    """
    if end is None:
        end = max((block.start + block.length for block in blocks), default=1.0)
    scale = 1000 / end
    rect = Markup(
        '<rect class="{} fill" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}">'
        "<title>{}</title></rect>"
    )
    parts = [
        rect.format(
            block.kind,
            block.start * scale,
            _HEIGHT * (1 - block.height),
            block.length * scale,
            _HEIGHT * block.height,
            block.title,
        )
        for block in blocks
    ]
    return _svg("skyline", 1000, title, parts)


def spark(values: Sequence[float | None], title: str) -> Markup:
    """Values in little room, from 0 to the highest of them; a gap where one is not known."""
    most = max((value for value in values if value), default=1.0)
    parts = list[Markup]()
    start = 0
    for known, run in groupby(values, lambda value: value is not None):
        heights = [(value or 0.0) / most for value in run]
        if known:
            parts.append(_path("second fill", start, heights))
        start += len(heights)
    return _svg("spark", max(len(values), 1), title, parts)


def trails(lines: Sequence[Trail], width: int, height: int, title: str) -> Markup:
    """Ways over a picture, each with a dot where it ends.

    Args:
        lines: drawn in this order.
        width: of the picture, pixels.
        height: of the picture, pixels.
        title: what they are.
    """
    path = Markup('<path class="{} trail" d="M{}"><title>{}</title></path>')
    dot = Markup('<path class="{} trail dots" d="M{}h0"/>')
    parts = list[Markup]()
    for line in lines:
        points = [f"{x} {y}" for x, y in line.points]
        parts.append(path.format(line.kind, "L".join(points), line.title))
        parts.append(dot.format(line.kind, points[-1]))
    return _svg("trails", width, title, parts, height)


def _path(kind: str, start: float, heights: Sequence[float] | np.ndarray) -> Markup:
    """Steps of one unit each from the ground and back to it; equal ones are one step."""
    levels = [round(_HEIGHT * (1 - height), 1) for height in heights]
    steps = "".join(f"V{level:g}h{len(list(same))}" for level, same in groupby(levels))
    return Markup('<path class="{}" d="M{:g} {:g}{}V{:g}z"/>').format(
        kind, start, _HEIGHT, steps, _HEIGHT
    )


def _svg(
    kind: str, width: float, title: str, parts: Sequence[Markup], height: float = _HEIGHT
) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {:g} {:g}" preserveAspectRatio="none" role="img">'
        "<title>{}</title>{}</svg>"
    ).format(kind, width, height, title, Markup("").join(parts))

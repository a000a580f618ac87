"""A border in the picture, and the ways that lead over it.

Places that lie exactly on a border, and ways through its corners, are settled as if every way were
shifted by the same tiny bit (ε, ε²), which leaves nothing on the border (Edelsbrunner and Mücke,
Simulation of simplicity, ACM Transactions on Graphics 9(1), 1990). So a way that is told in several
pieces goes over the border exactly as often as in one piece, wherever it is cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import Floats

#: A part of a way, as shares of it: from, to.
Span = tuple[float, float]
#: Gaps that are not wider come from rounding.
_ROUNDING = 1e-9
_NEVER = (math.inf, -math.inf)
_ALWAYS = (-math.inf, math.inf)


class Border:
    """A line of one or more straight pieces.

    Its right side is to the right of who goes from its first point to its last one, as the picture
    is seen; of the border of a polygon, too, which ends where it begins.

    Args:
        points: (P, 2), pixels.
        closed: whether it leads back to its first point.
    """

    def __init__(self, points: NDArray[np.float64], closed: bool = False) -> None:
        self._points = np.concatenate((points, points[:1])) if closed else points
        self._x, self._y = np.diff(self._points, axis=0).T
        self._corners = [complex(x, y) for x, y in self._points.tolist()]

    def crossings(self, a: Floats, b: Floats) -> dict[int, list[tuple[float, int]]]:
        """Where straight ways from `a` (N, 2) to `b` (N, 2) go over it.

        Returns:
            For each row that does: shares of the way, rising, each with 1 where it leads to the
            right side, else -1.
        """
        before, after = self._sides(a), self._sides(b)
        to_right = self._is_right(after)
        over = self._is_right(before) != to_right
        rows = over.any(axis=1).nonzero()[0]
        left_of_way = _on_the_left(a[rows], b[rows], self._points)
        crossed = over[rows] & (left_of_way[:, 1:] != left_of_way[:, :-1])
        found: dict[int, list[tuple[float, int]]] = {}
        for index, piece in zip(*crossed.nonzero(), strict=True):
            row, side = int(rows[index]), before[rows[index], piece]
            share = float(side / (side - after[row, piece]))
            found.setdefault(row, []).append((share, 1 if to_right[row, piece] else -1))
        return {row: sorted(crossings) for row, crossings in found.items()}

    def near(self, a: Floats, b: Floats, margin: float) -> list[Span]:
        """The parts of the way from `a` (2,) to `b` (2,) that are not farther from it than that.

        Args:
            margin: pixels.

        Returns:
            Rising, apart from each other; they may reach beyond the way's ends.
        """
        start, end = complex(*a.tolist()), complex(*b.tolist())
        pieces = pairwise(self._corners)
        return merged([_near_piece(start, end - start, *piece, margin) for piece in pieces])

    def _sides(self, places: Floats) -> Floats:
        """Twice the area of each piece and each place (N, 2) as a triangle, (N, S); right: > 0."""
        down, right = places[:, 1:] - self._points[:-1, 1], places[:, :1] - self._points[:-1, 0]
        sides: Floats = self._x * down - self._y * right
        return sides

    def _is_right(self, sides: Floats) -> NDArray[np.bool_]:
        """Whether places with these `sides` (N, S) are to the right of the pieces."""
        tied = (self._y < 0) | ((self._y == 0) & (self._x > 0))
        right: NDArray[np.bool_] = (sides > 0) | ((sides == 0) & tied)
        return right


def merged(spans: Sequence[Span]) -> list[Span]:
    """Spans without the empty ones, rising, each two that touch as one."""
    parts: list[Span] = []
    for low, high in sorted(span for span in spans if span[0] <= span[1]):
        if parts and low <= parts[-1][1]:
            parts[-1] = parts[-1][0], max(high, parts[-1][1])
        else:
            parts.append((low, high))
    return parts


def gap(spans: Sequence[Span], low: float, high: float) -> float | None:
    """The middle of the widest gap that merged spans leave between `low` and `high`, if any."""
    edges = [-math.inf, *(edge for span in spans for edge in span), math.inf]
    gaps = [(max(a, low), min(b, high)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    first, last = max(gaps, key=lambda span: span[1] - span[0])
    return (first + last) / 2 if last - first > _ROUNDING else None


def _on_the_left(a: Floats, b: Floats, points: Floats) -> NDArray[np.bool_]:
    """Whether each point (P, 2) is to the left of each way from `a` to `b` (N, 2): (N, P)."""
    x, y = (b - a).T[:, :, None]
    sides = x * (points[:, 1] - a[:, 1:]) - y * (points[:, 0] - a[:, :1])
    left: NDArray[np.bool_] = (sides < 0) | ((sides == 0) & ((y < 0) | ((y == 0) & (x > 0))))
    return left


def _near_piece(start: complex, way: complex, a: complex, b: complex, margin: float) -> Span:
    """When a way is not farther than `margin` from the piece from `a` to `b`.

    What is so near to a straight piece is convex, so that is one span.
    """
    length = abs(b - a)
    ends = [_near_point(start - end, way, margin) for end in (a, b)]
    if length == 0:
        return ends[0]
    turned = (b - a).conjugate() / length  # makes the piece lie on the x axis, from 0 on
    at, by = (start - a) * turned, way * turned
    along, across = (
        _between(at.real, by.real, 0, length),
        _between(at.imag, by.imag, -margin, margin),
    )
    beside = max(along[0], across[0]), min(along[1], across[1])
    spans = [span for span in (beside, *ends) if span[0] <= span[1]]
    if not spans:
        return _NEVER
    return min(low for low, _ in spans), max(high for _, high in spans)


def _near_point(offset: complex, way: complex, margin: float) -> Span:
    """When a way that begins at `offset` from a point is not farther than `margin` from it."""
    a, b = abs(way) ** 2, (offset * way.conjugate()).real
    c = abs(offset) ** 2 - margin**2
    if a == 0:
        return _ALWAYS if c <= 0 else _NEVER
    root = b * b - a * c
    if root < 0:
        return _NEVER
    return (-b - math.sqrt(root)) / a, (-b + math.sqrt(root)) / a


def _between(at: float, by: float, low: float, high: float) -> Span:
    """When ``low <= at + by * t <= high``."""
    if by == 0:
        return _ALWAYS if low <= at <= high else _NEVER
    first, last = (low - at) / by, (high - at) / by
    return (first, last) if first <= last else (last, first)

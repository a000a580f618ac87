"""Polygons, against the definition: the sum of the angles under which a point sees the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.tracking.zones import Zone, in_polygon, within

SQUARE = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))
AROUND = Zone(points=SQUARE, unit="pixels")
CORNER = Zone(points=SQUARE[:3], unit="pixels", exclude=True)
RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
# A box whose foot is at (50, 100) and whose centre is at (50, 60).
BOX = np.array([[40.0, 20.0, 60.0, 100.0]], np.float32)


def _turns(x: float, y: float, polygon: list[tuple[float, float]]) -> int:
    """How often the polygon winds around a point that is not on its border."""
    angles = [math.atan2(py - y, px - x) for px, py in polygon]
    steps = (b - a for a, b in zip(angles, angles[1:] + angles[:1], strict=True))
    return round(sum(math.remainder(step, math.tau) for step in steps) / math.tau)


@given(st.lists(st.floats(0.5, 3.0), min_size=3, max_size=12), st.integers(0, 1000))
def test_stars_of_any_shape(radii: list[float], seed: int) -> None:
    angles = np.arange(len(radii)) * math.tau / len(radii)
    polygon = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array(radii)[:, None]
    points = np.random.default_rng(seed).uniform(-3, 3, (40, 2))
    expected = [_turns(x, y, [*map(tuple, polygon)]) != 0 for x, y in points]
    assert in_polygon(points, polygon).tolist() == expected
    assert in_polygon(points, polygon[::-1]).tolist() == expected


def test_the_border_is_inside() -> None:
    on_it = np.array([[0, 0], [100, 100], [50, 100], [100, 50], [50, 0], [0, 50]])
    assert in_polygon(on_it, np.array(SQUARE)).all()
    beside_it = np.array([[101, 100], [-1, 0], [50, 101], [150, 0], [-20, 100]])
    assert not in_polygon(beside_it, np.array(SQUARE)).any()


@pytest.mark.parametrize(
    ("zones", "given_out"),
    [
        ([AROUND], True),
        ([Zone(points=SQUARE, unit="pixels", exclude=True)], False),
        ([Zone(points=RIGHT_HALF, exclude=True)], True),  # of 200 x 200 pixels: x from 100
        ([Zone(points=RIGHT_HALF)], False),
        ([Zone(points=RIGHT_HALF), AROUND], True),
        ([AROUND, CORNER], True),
        ([Zone(points=[[0, 0.49], [1, 0.49], [1, 1], [0, 1]])], True),
        ([Zone(points=[[0, 0.49], [1, 0.49], [1, 1], [0, 1]], anchor="centre")], False),
    ],
)  # fmt: skip
def test_zones(zones: list[Zone], given_out: bool) -> None:
    assert within([zone.in_pixels(200, 200) for zone in zones], BOX).tolist() == [given_out]


@pytest.mark.parametrize(
    ("zone", "complaint"),
    [
        ({"points": [[0, 0], [1, 1]]}, "points"),
        ({"points": [[0, 0], [1, 1], [0, 2]]}, "write unit: pixels"),
        ({"points": [[0, 0], [1, 1], [0, math.inf]], "unit": "pixels"}, "finite"),
        ({"points": [[0, 0], [1, 1], [0, 1, 2]]}, "points"),
        ({"points": "everywhere"}, "points"),
        ({"polygon": [[0, 0], [1, 1], [0, 1]]}, "polygon"),
    ],
)
def test_mistakes(zone: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Zone.model_validate(zone)

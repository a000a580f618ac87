"""RoIAlign against its definition with loops: bins, samples, bilinear interpolation."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.roi_align import roi_align

FEATURES = np.random.default_rng(0).normal(size=(1, 3, 9, 14)).astype(np.float32)
BOXES = np.array(
    [
        [16, 16, 80, 100],
        [0, 0, 223, 143],  # the whole picture
        [-60, -40, 30, 50],  # sticks out at the top left
        [200, 120, 400, 300],  # and at the bottom right
        [50, 50, 51, 51],  # within one cell
        [500, 500, 600, 600],  # outside
    ],
    np.float32,
)


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = floor(y), floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    fy, fx = y - top, x - left
    upper = plane[top, left] * (1 - fx) + plane[top, right] * fx
    lower = plane[bottom, left] * (1 - fx) + plane[bottom, right] * fx
    return float(upper * (1 - fy) + lower * fy)


def slow(box: np.ndarray, rows: int, columns: int, scale: float, sampling: int) -> np.ndarray:
    x1, y1, x2, y2 = (float(c) * scale - 0.5 for c in box)
    height, width = (y2 - y1) / rows, (x2 - x1) / columns
    down, across = sampling or ceil(height), sampling or ceil(width)
    out = np.zeros((FEATURES.shape[1], rows, columns))
    for channel, row, column in np.ndindex(out.shape):
        samples = [
            bilinear(
                FEATURES[0, channel],
                y1 + (row + (i + 0.5) / down) * height,
                x1 + (column + (j + 0.5) / across) * width,
            )
            for i in range(down)
            for j in range(across)
        ]
        out[channel, row, column] = np.mean(samples)
    return out


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (2, 5)])
@pytest.mark.parametrize("sampling", [0, 2])
def test_equals_the_slow_reference(rows: int, columns: int, sampling: int) -> None:
    found = roi_align(FEATURES, BOXES, rows, columns, 1 / 16, sampling)
    assert found.dtype == np.float32
    expected = [slow(box, rows, columns, 1 / 16, sampling) for box in BOXES]
    np.testing.assert_allclose(found, expected, atol=1e-5)


edges = st.integers(-80, 320) | st.floats(-80, 320, width=32)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(edges, edges, edges, edges), max_size=8),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 3),
)
def test_wherever_the_boxes_lie(
    corners: list[tuple[float, ...]], rows: int, columns: int, sampling: int
) -> None:
    drawn = np.array(corners, np.float32).reshape(-1, 4)
    boxes = np.concatenate([drawn[:, :2], np.maximum(drawn[:, 2:], drawn[:, :2] + 3)], axis=1)
    scale = 0.061  # no sample falls on a limit, where rounding would decide
    found = roi_align(FEATURES, boxes, rows, columns, scale, sampling)
    assert found.shape == (len(boxes), 3, rows, columns)
    for one, box in zip(found, boxes, strict=True):
        np.testing.assert_allclose(one, slow(box, rows, columns, scale, sampling), atol=1e-4)


def test_a_constant_map_stays_constant_inside() -> None:
    ones = np.ones((1, 2, 9, 14), np.float32)
    np.testing.assert_allclose(roi_align(ones, BOXES[:2], 6, 6, 1 / 16), 1, atol=1e-6)


def test_no_boxes() -> None:
    none = np.empty((0, 4), np.float32)
    assert roi_align(FEATURES, none, 6, 6, 1 / 16).shape == (0, 3, 6, 6)


def test_an_empty_box_does_not_break_the_others() -> None:
    boxes = np.array([[20, 20, 20, 60], BOXES[0]], np.float32)
    found = roi_align(FEATURES, boxes, 6, 6, 1 / 16)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1], roi_align(FEATURES, BOXES[:1], 6, 6, 1 / 16)[0])

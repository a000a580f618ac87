"""RoI pooling against Fast R-CNN's definition with loops, and by hand."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.roi_pool import roi_pool

FEATURES = np.random.default_rng(0).normal(-1, 1, (1, 3, 9, 14)).astype(np.float32)


def nearest(cells: float) -> int:
    """Halves go away from 0."""
    return floor(cells + 0.5) if cells >= 0 else ceil(cells - 0.5)


def slow(box: np.ndarray, rows: int, columns: int, scale: float) -> np.ndarray:
    left, top, right, bottom = (nearest(float(np.float32(c) * np.float32(scale))) for c in box)
    height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
    high, wide = np.float32(height) / np.float32(rows), np.float32(width) / np.float32(columns)
    out = np.zeros((FEATURES.shape[1], rows, columns))
    for channel, row, column in np.ndindex(out.shape):
        inside = [
            float(FEATURES[0, channel, y, x])
            for y in range(top + floor(row * high), top + ceil((row + 1) * high))
            for x in range(left + floor(column * wide), left + ceil((column + 1) * wide))
            if 0 <= y < FEATURES.shape[2] and 0 <= x < FEATURES.shape[3]
        ]
        out[channel, row, column] = max(inside, default=0.0)
    return out


edges = st.integers(-80, 320) | st.floats(-80, 320, width=32)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(edges, edges, edges, edges), max_size=12),
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([1 / 16, 1 / 8, 0.05]),
)
def test_equals_the_slow_reference(
    corners: list[tuple[float, ...]], rows: int, columns: int, scale: float
) -> None:
    """Boxes lie inside, outside and across the border; some have their corners swapped."""
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    found = roi_pool(FEATURES, boxes, rows, columns, scale)
    assert found.dtype == np.float32
    assert found.shape == (len(boxes), 3, rows, columns)
    for one, box in zip(found, boxes, strict=True):
        np.testing.assert_array_equal(one, slow(box, rows, columns, scale))


def test_by_hand() -> None:
    cells = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    # From cell 0 to cell 2, both included, in two bins: these share the middle one.
    box = np.array([[4, 0, 36, 16]], np.float32)
    np.testing.assert_array_equal(roi_pool(cells, box, 1, 2, 1 / 16)[0, 0], [[5, 6]])


def test_no_boxes() -> None:
    none = np.empty((0, 4), np.float32)
    assert roi_pool(FEATURES, none, 6, 5, 1 / 16).shape == (0, 3, 6, 5)


@pytest.mark.parametrize("count", [5_000])
def test_thousands_of_boxes(count: int) -> None:
    low = np.random.default_rng(1).uniform(0, 200, (count, 2))
    boxes = np.concatenate([low, low + 30], axis=1).astype(np.float32)
    found = roi_pool(FEATURES, boxes, 3, 3, 1 / 16)
    np.testing.assert_array_equal(found[-1], slow(boxes[-1], 3, 3, 1 / 16))

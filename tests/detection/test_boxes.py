"""Boxes: conversions there and back, overlaps against a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.detection import boxes as bx


def box_arrays(most: int = 8) -> st.SearchStrategy[np.ndarray]:
    """(N, 4) float64 xyxy, whole and half pixels, also empty boxes."""
    halves = st.integers(-40, 80).map(lambda n: n / 2)
    raw = hnp.arrays(np.float64, st.tuples(st.integers(0, most), st.just(4)), elements=halves)
    return raw.map(
        lambda b: np.concatenate(
            [np.minimum(b[:, :2], b[:, 2:]), np.maximum(b[:, :2], b[:, 2:])], 1
        )
    )


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


@given(box_arrays())
def test_conversion_there_and_back(boxes: np.ndarray) -> None:
    np.testing.assert_allclose(bx.cxcywh_to_xyxy(bx.xyxy_to_cxcywh(boxes)), boxes, atol=1e-12)


@given(box_arrays(), box_arrays())
def test_iou_equals_the_loop(a: np.ndarray, b: np.ndarray) -> None:
    expected = np.array([[slow_iou(p, q) for q in b] for p in a]).reshape(len(a), len(b))
    found = bx.iou_matrix(a, b)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(bx.iou_matrix(b, a).T, found)


@given(box_arrays())
def test_clipped_boxes_are_inside_and_not_larger(boxes: np.ndarray) -> None:
    cut = bx.clip(boxes, 30, 20)
    assert ((cut >= 0) & (cut <= [30, 20, 30, 20])).all()
    assert (bx.area(cut) <= bx.area(boxes)).all()
    np.testing.assert_array_equal(bx.clip(cut, 30, 20), cut)


@pytest.mark.parametrize(
    ("box", "area"),
    [((0, 0, 3, 4), 12), ((1, 1, 1, 5), 0), ((5, 5, 1, 1), 0)],
)
def test_area(box: tuple[float, ...], area: float) -> None:
    assert bx.area(np.array([box], np.float32)) == [area]


def test_float32_stays_float32() -> None:
    boxes = np.array([[0, 0, 2, 2]], np.float32)
    for result in (bx.iou_matrix(boxes, boxes), bx.clip(boxes, 1, 1), bx.xyxy_to_cxcywh(boxes)):
        assert result.dtype == np.float32

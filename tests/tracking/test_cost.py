"""Pairs and their similarities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.boxes import iou_matrix
from pipeline.tracking import cost


def boxes(rng: np.random.Generator, count: int, spread: float) -> np.ndarray:
    corner = rng.uniform(0, spread, (count, 2))
    return np.concatenate((corner, corner + rng.uniform(1, 100, (count, 2))), axis=1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    m=st.integers(0, 60),
    spread=st.sampled_from([10.0, 500.0, 5000.0]),
)
def test_overlaps_are_the_positive_cells_of_the_iou_matrix(
    seed: int, n: int, m: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = boxes(rng, n, spread), boxes(rng, m, spread)
    pairs = cost.overlaps(a, b)
    matrix = iou_matrix(a, b)
    cells = np.zeros((n, m))
    cells[pairs.tracks, pairs.detections] = pairs.similarity
    assert len(pairs) == np.count_nonzero(matrix)
    np.testing.assert_allclose(cells, matrix, rtol=1e-9)


@pytest.mark.parametrize(
    ("what", "b", "expected"),
    [
        ("the same box", [0, 0, 10, 10], 1.0),
        ("half of it", [0, 0, 10, 5], 0.5),
        ("shifted by half", [5, 0, 15, 10], 1 / 3),
    ],
)
def test_iou(what: str, b: list[float], expected: float) -> None:
    pairs = cost.overlaps(np.array([[0.0, 0, 10, 10]]), np.array([b], float))
    assert pairs.similarity == pytest.approx([expected]), what


@pytest.mark.parametrize(
    ("what", "b"),
    [
        ("beside it", [20, 0, 30, 10]),
        ("touching at an edge", [10, 0, 20, 10]),
        ("without an area", [5, 5, 5, 5]),
    ],
)
def test_no_pair(what: str, b: list[float]) -> None:
    assert len(cost.overlaps(np.array([[0.0, 0, 10, 10]]), np.array([b], float))) == 0, what


def test_all_pairs() -> None:
    i, j = cost.all_pairs(2, 3)
    assert list(zip(i, j, strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [len(k) for k in cost.all_pairs(2, 0)] == [0, 0]


def test_cosines() -> None:
    a = np.array([[1, 0], [0.6, 0.8]], np.float32)
    b = np.array([[0, 1], [0.6, 0.8]], np.float32)
    np.testing.assert_allclose(cost.cosines(a, b), [[0, 0.6], [0.8, 1]], atol=1e-6)
    assert cost.cosines(a[:0], b).shape == (0, 2)


def slowly(kind: str, a: np.ndarray, b: np.ndarray) -> float:
    """The similarities as their papers have them, of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    hull = (max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1]))
    if kind == "giou":
        area = hull[0] * hull[1]
        return (1 + common / union - (area - union) / area) / 2
    if kind == "diou":
        apart = (a[0] + a[2] - b[0] - b[2]) ** 2 / 4 + (a[1] + a[3] - b[1] - b[3]) ** 2 / 4
        return (1 + common / union - apart / (hull[0] ** 2 + hull[1] ** 2)) / 2
    return common / union * (height / hull[1] if kind == "hmiou" else 1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([10.0, 500.0, 5000.0]))
@pytest.mark.parametrize("kind", sorted(cost.BOX_SIMILARITIES))
def test_similarities_of_boxes(kind: str, seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = boxes(rng, 40, spread), boxes(rng, 50, spread)
    pairs = cost.compared(kind, a, b)
    found = {
        (i, j): s for i, j, s in zip(pairs.tracks, pairs.detections, pairs.similarity, strict=True)
    }
    assert len(found) == len(pairs)
    near = iou_matrix(cost.grown(a, 1.0), cost.grown(b, 1.0)) > 0
    for i in range(len(a)):
        for j in range(len(b)):
            expected = slowly(kind, a[i], b[j]) if near[i, j] else 0.0
            assert found.get((i, j), 0.0) == pytest.approx(max(expected, 0.0), abs=1e-9)
    assert ((pairs.similarity > 0) & (pairs.similarity <= 1 + 1e-12)).all()


def test_grown() -> None:
    assert cost.grown(np.array([[10.0, 20, 20, 40]]), 0.5).tolist() == [[5, 10, 25, 50]]

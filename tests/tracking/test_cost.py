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

"""The assignment is optimal, whichever of its short-cuts it takes."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pipeline.tracking import assignment
from pipeline.tracking.assignment import assign, dominant, isolated
from pipeline.tracking.cost import Pairs


def pairs_of(matrix: np.ndarray) -> Pairs:
    tracks, detections = np.nonzero(matrix)
    return Pairs(tracks, detections, matrix[tracks, detections])


def brute_force(matrix: np.ndarray) -> float:
    """The largest sum of any matching of a matrix of at most 7 × 7."""
    n, m = matrix.shape
    if n > m:
        return brute_force(matrix.T)
    return max(
        sum(matrix[i, j] for i, j in enumerate(columns)) for columns in permutations(range(m), n)
    )


similarities = st.one_of(st.just(0.0), st.sampled_from([0.25, 0.5, 1.0]), st.floats(0.01, 1))


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    n, m = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    cells = draw(st.lists(similarities, min_size=n * m, max_size=n * m))
    return np.array(cells).reshape(n, m)


@pytest.mark.parametrize("many", [0, 10**6], ids=["dominant first", "isolated first"])
@settings(max_examples=150, deadline=None)
@given(matrix=matrices())
def test_optimal_against_brute_force(many: int, matrix: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "_MANY", many)
        found = assign(pairs_of(matrix))
    assert len(set(found.tracks)) == len(set(found.detections)) == len(found)
    np.testing.assert_array_equal(found.similarity, matrix[found.tracks, found.detections])
    assert (found.similarity > 0).all(), "a pair that was gated out"
    assert found.similarity.sum() == pytest.approx(brute_force(matrix), abs=1e-12)


@pytest.mark.parametrize("n", [50, 400])
def test_optimal_against_the_whole_assignment_problem(n: int) -> None:
    rng = np.random.default_rng(n)
    matrix = np.where(rng.random((n, n)) < 3 / n, rng.uniform(0.1, 1, (n, n)), 0.0)
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    assert assign(pairs_of(matrix)).similarity.sum() == pytest.approx(matrix[rows, columns].sum())


@given(matrix=matrices())
@settings(deadline=None)
def test_the_same_pairs_give_the_same_matching(matrix: np.ndarray) -> None:
    first, second = assign(pairs_of(matrix)), assign(pairs_of(matrix))
    np.testing.assert_array_equal(first.tracks, second.tracks)
    np.testing.assert_array_equal(first.detections, second.detections)


@pytest.mark.parametrize(
    ("what", "matrix", "alone", "sure"),
    [
        ("one pair", [[0.3]], [True], [True]),
        ("two far apart", [[0.3, 0], [0, 0.9]], [True, True], [True, True]),
        ("a rival too weak", [[0.9, 0.2]], [False, False], [True, False]),
        ("equal rivals", [[0.5, 0.5]], [False, False], [False, False]),
        ("all equal", [[0.5, 0.5], [0.5, 0.5]], [False] * 4, [False] * 4),
        (
            "best of both, yet not worth its rivals",
            [[0.5, 0.4], [0.4, 0]],
            [False] * 3,
            [False] * 3,
        ),
    ],
)
def test_what_is_certain(
    what: str, matrix: list[list[float]], alone: list[bool], sure: list[bool]
) -> None:
    pairs = pairs_of(np.array(matrix))
    assert isolated(pairs).tolist() == alone, what
    assert dominant(pairs).tolist() == sure, what


def test_nothing_to_assign() -> None:
    assert len(assign(pairs_of(np.zeros((3, 0))))) == 0

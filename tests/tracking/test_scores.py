"""Confidences of any range become scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.scores import to_scores


@pytest.mark.parametrize(
    ("confidences", "scores"),
    [
        ([], []),
        ([0.5, 0.75, 1.0], [0.5, 0.75, 1.0]),  # scores
        ([1, 1, 1], [1, 1, 1]),  # a file that knows no confidence
        ([0, 50, 100], [0, 0.5, 1]),  # percent
        ([0, 30, 60], [0.5, 0.75, 1]),  # margins, for nobody is sure of anything
        ([-10, 25, 60], [0.5, 0.75, 1]),  # margins
        ([0, 500, 1000], [0.5, 0.75, 1]),  # too large for percent
        ([-1, -1], [1, 1]),  # the benchmark's way of not saying it
        ([-3.0], [1]),
    ],
)
def test_ranges(confidences: list[float], scores: list[float]) -> None:
    np.testing.assert_allclose(to_scores(np.array(confidences)), scores, atol=0.01)


def test_a_stray_value_bends_no_scale() -> None:
    usual = np.linspace(-10, 60, 1000)
    with_stray = to_scores(np.append(usual, 1e6))
    np.testing.assert_allclose(with_stray[:-1], to_scores(usual), atol=0.01)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_scores_lie_in_their_range_and_keep_the_order(confidences: list[float]) -> None:
    values = np.array(confidences)
    scores = to_scores(values)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores[np.argsort(values)]) >= 0).all()

"""Sums of differences: by hand, and whatever way the runs are cut."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from engines.difference import Difference


def difference(expected: list[float], found: list[float]) -> Difference:
    total = Difference()
    total.add(np.array(expected, np.float32), np.array(found, np.float32))
    return total


@pytest.mark.parametrize(
    ("expected", "found", "relative", "snr_db", "cosine"),
    [
        ([1, -2], [1, -2], 0, inf, 1),
        ([], [], 0, inf, 1),
        ([0, 0], [0, 0], 0, inf, 1),
        ([10, 0], [9, 0], 0.1, 20, 1),
        ([0, 1], [1, 0], 1, -3.0103, 0),
        ([0, 0], [1, 0], inf, -inf, 0),
        ([2, 0], [0, 0], 1, 0, 0),
        ([3, 4], [-3, -4], 2, -6.0206, -1),
    ],
)
def test_by_hand(
    expected: list[float], found: list[float], relative: float, snr_db: float, cosine: float
) -> None:
    total = difference(expected, found)
    assert total.relative == pytest.approx(relative)
    assert total.snr_db == pytest.approx(snr_db, abs=1e-4)
    assert total.cosine == pytest.approx(cosine)


def test_many_runs_are_as_one() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 6, 5)).astype(np.float32)
    whole, parts = Difference(), Difference()
    whole.add(a, b)
    for expected, found in zip(a, b, strict=True):
        parts.add(expected, found)
    assert (whole.runs, parts.runs) == (1, 6)
    for figure in ("relative", "snr_db", "cosine"):
        assert getattr(parts, figure) == pytest.approx(getattr(whole, figure))


def test_another_shape_is_counted_and_left_out() -> None:
    total = difference([1, 2], [1, 2])
    total.add(np.ones(3), np.zeros(2))
    assert (total.runs, total.misfits, total.snr_db) == (1, 1, inf)

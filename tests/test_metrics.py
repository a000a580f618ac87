from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import SPREAD_S, Histogram, Spread, StageMetrics

durations = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)


@given(durations, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_at_most_a_sixteenth_too_large(values: list[int], q: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = int(np.quantile(values, q, method="inverted_cdf"))
    assert exact <= histogram.quantile_ns(q) <= exact * 17 / 16 + 1
    assert histogram.count == len(values)
    assert histogram.total_ns == sum(values)


@given(durations, durations)
def test_merging_equals_counting_together(left: list[int], right: list[int]) -> None:
    parts, whole = (Histogram(), Histogram()), Histogram()
    for part, values in zip(parts, (left, right), strict=True):
        for value in values:
            part.add(value)
            whole.add(value)
    parts[0].merge(parts[1])
    assert [parts[0].quantile_ns(q) for q in (0.1, 0.5, 0.95)] == [
        whole.quantile_ns(q) for q in (0.1, 0.5, 0.95)
    ]


@given(durations, durations)
def test_a_spread_counts_what_is_no_longer_than_each_bound_and_adds_up(
    left: list[int], right: list[int]
) -> None:
    spreads = []
    for values in (left, right):
        histogram = Histogram()
        for value in values:
            histogram.add(value)
        spreads.append(histogram.spread())
    together = spreads[0] + spreads[1]
    values = [*left, *right]
    for count, most_s in zip(together.counts, SPREAD_S, strict=True):
        surely = sum(value * 17 / 16 + 1 <= most_s * 1e9 for value in values)
        assert surely <= count <= sum(value <= most_s * 1e9 for value in values)
    assert together.count == len(values)
    assert together.total_s == pytest.approx(sum(values) / 1e9)
    assert Histogram().spread() == Spread()


def test_an_empty_histogram_has_no_duration() -> None:
    assert Histogram().quantile_ns(0.95) == 0
    assert Histogram().mean_ns == 0


def test_the_mean_is_exact() -> None:
    histogram = Histogram()
    for value in (100, 1000, 3001):
        histogram.add(value)
    assert histogram.mean_ns == 1367


def test_the_metrics_of_workers_add_up() -> None:
    total = StageMetrics.merged([StageMetrics(processed=2, busy_ns=5), StageMetrics(processed=3)])
    assert (total.processed, total.busy_ns) == (5, 5)
    total.hand_on(7, 100)
    again = StageMetrics.merged([total, total])
    assert (again.emitted, again.array_bytes, again.picture_bytes) == (2, 14, 200)
    assert total.service.count == pytest.approx(0)

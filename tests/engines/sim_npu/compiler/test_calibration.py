"""Ranges from recorded inputs, by three methods, and inputs that are good for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import OptionError, TensorError
from engines.sim_npu.compiler import calibration
from engines.sim_npu.compiler.histogram import BINS, Histogram
from tests.engines.sim_npu.compiler import drawn


def histogram(*parts: np.ndarray) -> Histogram:
    made = Histogram()
    for part in parts:
        made.add(part)
    return made


@settings(max_examples=50)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6), st.integers(0, 99))
def test_a_stream_counts_as_its_whole(sizes: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = [(random.normal(size=300) * size).astype(np.float32) for size in sizes]
    found, whole = histogram(*parts), np.concatenate(parts)
    assert found.counts.sum() == whole.size
    assert (found.lowest, found.highest) == (whole.min(), whole.max())
    width = 2 * found.limit / BINS
    for share in (0.01, 0.5, 0.99):
        below, above = found.quantile(share) - 2 * width, found.quantile(share) + 2 * width
        assert (whole <= below).mean() <= share <= (whole <= above).mean()
    assert found.magnitudes().sum() == whole.size


def test_percentile_cuts_what_is_rare_and_min_max_does_not() -> None:
    values = np.linspace(-1, 3, 100_001, dtype=np.float32)
    found = histogram(values, np.array([500.0], np.float32))
    assert calibration.min_max(found) == (-1, 500)
    low, high = calibration.percentile(found)
    assert low == pytest.approx(-1, abs=0.3)
    assert high == pytest.approx(3, abs=0.3)


def test_entropy_cuts_a_thin_tail_and_keeps_a_thick_one() -> None:
    random = np.random.default_rng(0)
    normal = random.normal(size=200_000).astype(np.float32)
    low, high = calibration.entropy(histogram(normal, np.array([60.0], np.float32)))
    assert 3 < high < 15
    assert low == max(normal.min(), -high)
    even = random.uniform(-1, 1, 200_000).astype(np.float32)
    assert calibration.entropy(histogram(even))[1] > 0.95


def test_entropy_keeps_all_of_a_few_values() -> None:
    few = np.random.default_rng(0).normal(size=500).astype(np.float32)
    assert calibration.entropy(histogram(few)) == (few.min(), few.max())


def slow_divergence(counts: list[float], end: int) -> float:
    """As Migacz's slides have it, bin by bin."""
    wanted = counts[:end]
    wanted[-1] += sum(counts[end:])
    shared = [0.0] * end
    for level in range(128):
        bins = range(level * end // 128, (level + 1) * end // 128)
        filled = [n for n in bins if counts[n]]
        for n in filled:
            shared[n] = sum(counts[m] for m in bins) / len(filled)
    total, kept, divergence = sum(wanted), sum(shared), 0.0
    for p, q in zip(wanted, shared, strict=True):
        if p:
            if not q:
                return float("inf")
            divergence += p / total * np.log(p / total / (q / kept))
    return float(divergence)


@pytest.mark.parametrize("end", [128, 144, 500, 2048])
def test_divergence_is_migacz_s(end: int) -> None:
    counts = np.random.default_rng(end).poisson(2.0, 2048).astype(np.float64)
    expected = slow_divergence(counts.tolist(), end)
    assert calibration._divergence(counts, end) == pytest.approx(expected, rel=1e-9)


def test_ranges_of_a_network_and_of_its_weights() -> None:
    drawing = drawn.Drawing(5)
    drawing.conv()
    drawing.relu()
    model = drawing.model()
    found = calibration.collect(model, (drawn.image(seed) for seed in range(3)))
    assert set(found) == {"image", "t0", "t1"}
    for method in calibration.METHODS:
        ranges = calibration.ranges(found, method)
        assert ranges["t1"][0] == pytest.approx(0, abs=1e-3)
        assert 0 < ranges["t1"][1] <= found["t0"].highest
    weights = drawing.weights["t0.1"]
    per_channel = calibration.channel_ranges(weights, 0)
    assert per_channel == [(channel.min(), channel.max()) for channel in weights]
    with pytest.raises(OptionError, match="min-max, percentile, entropy, got 'best'"):
        calibration.ranges(found, "best")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "expected recorded inputs, there are none"),
        ([np.zeros(drawn.SHAPE, np.float32)] * 2, "all inputs are black"),
        ([np.full(drawn.SHAPE, 114, np.float32)], "of the one value 114"),
        ([drawn.image()["image"], drawn.image()["image"] * np.nan], "input 1, tensor image: 256"),
        ([drawn.image()["image"] * np.inf], "input 0, tensor image: 256 of 256 values are NaN or"),
    ],
    ids=["empty", "black", "grey", "nan", "infinite"],
)
def test_inputs_that_are_good_for_nothing(images: list[np.ndarray], message: str) -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    with pytest.raises(TensorError, match=message):
        calibration.collect(drawing.model(), ({"image": image} for image in images))


def test_a_tensor_inside_that_overflows_is_named() -> None:
    drawing = drawn.Drawing(0)
    drawing.add("Exp", "image")
    feeds = {"image": np.full(drawn.SHAPE, 100, np.float32)}
    with pytest.raises(TensorError, match="input 0, tensor t0: 256 of 256"):
        calibration.collect(drawing.model(), [feeds])

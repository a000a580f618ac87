"""Box deltas: there and back, and the limits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detection.deltas import MAX_LOG_SIZE, decode, encode

HEAD = (10.0, 10.0, 5.0, 5.0)


def boxes(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    low = random.uniform(-50, 500, (count, 2))
    return np.concatenate([low, low + random.uniform(6, 300, (count, 2))], 1).astype(np.float32)


@given(st.integers(0, 50), st.integers(0, 2**32 - 1), st.sampled_from([(1.0,) * 4, HEAD]))
def test_decode_gives_back_what_encode_took(
    count: int, seed: int, weights: tuple[float, float, float, float]
) -> None:
    wanted, anchors = boxes(count, seed), boxes(count, seed + 1)
    deltas = encode(wanted, anchors, weights)
    assert deltas.dtype == np.float32
    np.testing.assert_allclose(decode(deltas, anchors, weights), wanted, atol=2e-2, rtol=1e-4)


def test_by_hand() -> None:
    anchor = np.array([[10, 20, 30, 60]], np.float32)  # centre 20, 40, size 20 x 40
    deltas = np.array([[0.5, -0.25, np.log(2), 0]], np.float32)
    np.testing.assert_allclose(decode(deltas, anchor), [[10, 10, 50, 50]], rtol=1e-6)
    np.testing.assert_allclose(
        encode(np.array([[10, 10, 50, 50]], np.float32), anchor), deltas, atol=1e-6
    )


def test_no_box_grows_without_limit() -> None:
    anchor = np.array([[0, 0, 16, 16]], np.float32)
    far = decode(np.array([[0, 0, 80, MAX_LOG_SIZE + 1]], np.float32), anchor)
    np.testing.assert_allclose(far, [[-492, -492, 508, 508]], rtol=1e-5)


def test_the_limit_is_the_largest_growth_that_comes_back() -> None:
    anchor = np.array([[0, 0, 16, 16]], np.float32)
    largest = np.array([[-492, -492, 508, 508]], np.float32)
    np.testing.assert_allclose(decode(encode(largest, anchor), anchor), largest, rtol=1e-5)
    np.testing.assert_allclose(decode(encode(2 * largest, anchor), anchor), largest + 8, rtol=1e-5)


@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=4, max_size=4))
def test_whatever_finite_deltas_come_no_box_is_nan(deltas: list[float]) -> None:
    decoded = decode(np.array([deltas], np.float32), boxes(1, 0), (0.5, 0.5, 0.5, 0.5))
    assert not np.isnan(decoded).any()
    assert (decoded[:, :2] <= decoded[:, 2:]).all()


def test_tens_of_thousands() -> None:
    wanted, anchors = boxes(50_000, 0), boxes(50_000, 1)
    found = decode(encode(wanted, anchors, HEAD), anchors, HEAD)
    np.testing.assert_allclose(found, wanted, atol=2e-2, rtol=1e-4)


def test_none() -> None:
    none = np.empty((0, 4), np.float32)
    assert encode(none, none).shape == decode(none, none).shape == (0, 4)

"""Which level a box is pooled from, and that each comes back in its place."""

from __future__ import annotations

from math import floor, log2, sqrt
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detection.pyramid import Pooling, pooled
from pipeline.detection.roi_align import roi_align
from pipeline.detection.roi_pool import roi_pool

STRIDES = (4, 8, 16, 32)
FPN = Pooling(5, 4, STRIDES)


def maps(seed: int = 0, channels: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = [(1, channels, 320 // stride, 640 // stride) for stride in STRIDES]
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def boxes(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    corner = random.uniform(-20, (600, 280), (count, 2))
    size = np.exp(random.uniform(0, 7, (count, 2)))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def slow_level(box: np.ndarray, size: float = 224, k0: int = 4) -> int:
    """Equation 1 of the paper, its k cut to the levels there are."""
    width, height = float(box[2] - box[0]), float(box[3] - box[1])
    k = floor(k0 + log2(sqrt(width * height) / size))
    return min(max(k, 2), 5) - 2


@given(st.integers(0, 60), st.integers(0, 10_000))
def test_levels_are_those_of_the_equation(count: int, seed: int) -> None:
    given_boxes = boxes(count, seed)
    assert FPN.levels(given_boxes).tolist() == [slow_level(box) for box in given_boxes]


@pytest.mark.parametrize(
    ("width", "height", "level"),
    [
        (111, 112, 0),
        (112, 112, 1),
        (56, 224, 1),
        (224, 224, 2),
        (447, 448, 2),
        (448, 448, 3),
        (0, 50, 0),
        (10_000, 10_000, 3),
    ],
)
def test_a_box_of_exactly_a_levels_size_belongs_to_it(width: int, height: int, level: int) -> None:
    box = np.array([[10, 20, 10 + width, 20 + height]], np.float32)
    assert FPN.levels(box).tolist() == [level]


def test_the_canonical_size_and_level_may_be_others() -> None:
    how = Pooling(5, 4, STRIDES, canonical_size=64, canonical_level=3)
    given_boxes = boxes(50)
    expected = [slow_level(box, 64, 3) for box in given_boxes]
    assert how.levels(given_boxes).tolist() == expected
    assert len(set(expected)) == 4


@pytest.mark.parametrize("method", ["align", "pool"])
def test_each_box_is_pooled_from_its_own_level(method: Literal["align", "pool"]) -> None:
    how = Pooling(5, 4, STRIDES, method)
    features, given_boxes = maps(), boxes(40)
    found = pooled(how, features, given_boxes)
    assert found.shape == (40, 3, 5, 4)
    assert len({slow_level(box) for box in given_boxes}) == 4
    for one, box in zip(found, given_boxes, strict=True):
        level = slow_level(box)
        function = roi_align if method == "align" else roi_pool
        expected = function(features[level], box[None], 5, 4, 1 / STRIDES[level])[0]
        np.testing.assert_allclose(one, expected, atol=1e-5)


def test_one_map_takes_every_box() -> None:
    (features, *_), given_boxes = maps(), boxes(9)
    found = pooled(Pooling(5, 4, (4,), sampling=2), [features], given_boxes)
    np.testing.assert_array_equal(found, roi_align(features, given_boxes, 5, 4, 1 / 4, 2))


def test_no_boxes() -> None:
    assert pooled(FPN, maps(), np.empty((0, 4), np.float32)).shape == (0, 3, 5, 4)


def test_tens_of_thousands_of_boxes() -> None:
    features, many = maps(channels=1), boxes(20_000)
    found = pooled(FPN, features, many)
    np.testing.assert_allclose(found[-9:], pooled(FPN, features, many[-9:]), atol=1e-6)


def test_another_number_of_maps_is_told() -> None:
    with pytest.raises(ValueError, match="4 levels are pooled from, 3 maps given"):
        pooled(FPN, maps()[:3], boxes(2))

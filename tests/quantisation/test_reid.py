"""Rank-1 and cosine, by hand."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from pipeline.quantisation.reid import GAP, Crops, Looks, mean_cosine

EAST, NORTH, BETWEEN = (1.0, 0.0), (0.0, 1.0), (0.8, 0.6)


def crops(objects: dict[int, tuple[float, float]] | None, ids: tuple[int, ...] = (1, 2)) -> Crops:
    """Objects of one class by their identity; None where the network failed on `ids`."""
    names = np.array([*objects] if objects else ids)
    looks = np.array([*objects.values()], np.float32) if objects else None
    return Crops(names, np.ones(len(names), np.int64), looks)


def looks(first: Crops, later: Crops) -> Looks:
    found = Looks({})
    found.crops = {("cam", 0): first, ("cam", GAP): later, ("other", GAP): crops({1: NORTH})}
    return found


@pytest.mark.parametrize(
    ("first", "later", "share"),
    [
        ({1: EAST, 2: NORTH}, {1: BETWEEN, 2: NORTH}, 1.0),
        ({1: EAST, 2: NORTH}, {1: NORTH, 2: EAST}, 0.0),
        ({1: EAST, 2: EAST}, {1: EAST, 2: NORTH}, 0.5),
        ({1: EAST, 3: NORTH}, {1: EAST, 2: NORTH}, 1.0),  # 3 has left: not asked for
        (None, {1: EAST, 2: NORTH}, 0.0),
        ({1: EAST, 2: NORTH}, None, 0.0),
    ],
)
def test_rank_one(
    first: dict[int, tuple[float, float]] | None,
    later: dict[int, tuple[float, float]] | None,
    share: float,
) -> None:
    assert looks(crops(first), crops(later)).rank_one() == share


def test_an_object_without_a_rival_is_not_asked_for() -> None:
    assert isnan(looks(crops({1: EAST}), crops({1: EAST})).rank_one())
    cars = Crops(np.array([1, 2]), np.array([3, 1]), np.array([EAST, NORTH], np.float32))
    assert isnan(looks(cars, cars).rank_one())


def test_mean_cosine() -> None:
    one = looks(crops({1: EAST, 2: NORTH}), crops({1: EAST, 2: EAST}))
    other = looks(crops({1: BETWEEN, 2: NORTH}), crops(None))
    # Of five objects: 0.8, 1, two that one side failed on, and the other camera's.
    assert mean_cosine(one, other) == pytest.approx((0.8 + 1 + 0 + 0 + 1) / 5)
    assert isnan(mean_cosine(Looks({}), Looks({})))

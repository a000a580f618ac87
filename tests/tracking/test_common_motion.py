"""The shift that all objects of a picture share."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tracking.common_motion import CommonMotion


def crowd(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 1000, (count, 2))
    return np.hstack((corner, corner + rng.uniform(30, 120, (count, 1)) * (1, 2)))


def shifts(moves: np.ndarray, count: int, noise: float, seed: int = 0) -> np.ndarray:
    """What is found, frame by frame, where the picture moves and every object by itself as well."""
    rng, common = np.random.default_rng(seed), CommonMotion()
    found = []
    for move in moves:
        boxes = crowd(rng, count)
        size = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1, keepdims=True) ** 0.5
        own = rng.normal(0, noise, (count, 2)) * size
        shift, common.evidence = common.shift(boxes, boxes + np.tile(own + move, 2), 0.04)
        found.append(shift)
    return np.array(found)


def test_a_shaking_camera_is_followed() -> None:
    moves = np.random.default_rng(1).normal(0, 12, (200, 2))
    late = shifts(moves, 8, 0.03)[50:] - moves[50:]
    assert np.sqrt(np.mean(late**2)) < 3


def test_one_axis_alone() -> None:
    moves = np.random.default_rng(1).normal(0, 12, (200, 2)) * (0, 1)
    found = shifts(moves, 8, 0.03)[50:]
    assert np.abs(found[:, 0]).mean() < 0.3
    assert np.sqrt(np.mean((found[:, 1] - moves[50:, 1]) ** 2)) < 3


@pytest.mark.parametrize("count", [6, 30])
def test_a_still_camera_hardly_moves(count: int) -> None:
    found = shifts(np.zeros((500, 2)), count, 0.05)
    assert np.sqrt(np.mean(found**2)) < 0.5  # each object by itself: about 4 pixels


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_few_objects_say_nothing(count: int) -> None:
    assert not shifts(np.full((50, 2), 20.0), count, 0.01).any()


def test_one_object_that_is_mistaken_does_not_move_the_others() -> None:
    rng, common = np.random.default_rng(0), CommonMotion()
    boxes = crowd(rng, 9)
    for _ in range(50):
        detected = boxes + rng.normal(0, 1, (9, 1))
        detected[0] += 80
        shift, common.evidence = common.shift(boxes, detected, 0.04)
        assert np.abs(shift).max() < 5


def test_the_same_boxes_again() -> None:
    boxes = crowd(np.random.default_rng(0), 5)
    shift, _ = CommonMotion().shift(boxes, boxes, 0.04)
    assert shift.tolist() == [0, 0]

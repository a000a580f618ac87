"""The batched filter against filterpy, and what the motion model promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tracking.filterpy_motion import FilterpyMotion
from pipeline.tracking.kalman import Kalman
from pipeline.tracking.motion import (
    SMALLEST,
    Motion,
    Noise,
    from_components,
    process_noise,
    to_components,
    transition,
)

MOTIONS = [Kalman, FilterpyMotion]
Make = Callable[[], Motion]


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 1000, (count, 2))
    return np.concatenate((corner, corner + rng.uniform(5, 300, (count, 2))), axis=1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 30))
def test_batched_filter_equals_filterpy(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    noise = Noise(*(tuple(10 ** rng.uniform(-3, 1, 2)) for _ in range(3)))
    pair = Kalman(noise), FilterpyMotion(noise)
    for _ in range(steps):
        dt, born = rng.uniform(0, 2), boxes(rng, rng.integers(0, 4))
        known = len(pair[0])
        rows = np.flatnonzero(rng.random(known) < 0.7)
        found = pair[0].boxes_xyxy()[rows] + rng.normal(0, 5, (len(rows), 4))
        mask = rng.random(known + len(born)) < 0.9
        for motion in pair:
            motion.predict(dt)
            motion.update(rows, found)
            motion.initiate(born)
            motion.keep(mask)
        assert len(pair[0]) == len(pair[1]) == mask.sum()
        for of in ("boxes_xyxy", "velocities"):
            ours, reference = (getattr(motion, of)() for motion in pair)
            np.testing.assert_allclose(ours, reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", MOTIONS)
@given(a=st.floats(0, 3), b=st.floats(0, 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_two_predictions_equal_one_over_the_whole_time(
    make: Make, a: float, b: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first = boxes(rng, 3)
    moved = first + rng.uniform(-20, 20, (3, 1))
    results = []
    for steps in ([a, b], [a + b]):
        motion = make()
        motion.initiate(first)
        motion.predict(0.1)
        motion.update(np.arange(3), moved)
        for dt in steps:
            motion.predict(dt)
        # The update shows the covariance too, through the gain.
        motion.update(np.arange(3), first)
        results.append((motion.boxes_xyxy(), motion.velocities()))
    for stepped, whole in zip(*results, strict=True):
        np.testing.assert_allclose(stepped, whole, rtol=1e-9, atol=1e-7)


@given(a=st.floats(0, 5), b=st.floats(0, 5))
def test_process_noise_composes(a: float, b: float) -> None:
    F = transition(b)
    composed = F @ process_noise(a) @ F.T + process_noise(b)
    np.testing.assert_allclose(composed, process_noise(a + b), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", MOTIONS)
def test_finds_the_velocity_of_a_uniform_motion(make: Make) -> None:
    motion = make()
    box = np.array([[100.0, 50, 140, 150]])
    motion.initiate(box)
    for _ in range(60):
        motion.predict(0.05)
        box += np.array([6.0, -2, 6, -2]) * 0.5
        motion.update(np.array([0]), box)
    np.testing.assert_allclose(motion.velocities(), [[60, -20]], rtol=0.01)
    np.testing.assert_allclose(motion.boxes_xyxy(), box, atol=0.5)


@pytest.mark.parametrize("make", MOTIONS)
def test_a_shrinking_box_does_not_turn_inside_out(make: Make) -> None:
    motion = make()
    motion.initiate(np.array([[0.0, 0, 100, 100]]))
    motion.predict(0.1)
    motion.update(np.array([0]), np.array([[40.0, 40, 60, 60]]))
    motion.predict(60.0)
    (x1, y1, x2, y2) = motion.boxes_xyxy()[0]
    assert (x2 - x1, y2 - y1) == pytest.approx((SMALLEST, SMALLEST))
    motion.update(np.array([0]), np.array([[40.0, 40, 60, 60]]))
    assert np.isfinite(motion.boxes_xyxy()).all()


@pytest.mark.parametrize("make", MOTIONS)
def test_no_tracks(make: Make) -> None:
    motion = make()
    motion.predict(0.1)
    motion.update(np.empty(0, np.intp), np.empty((0, 4), np.float32))
    motion.initiate(np.empty((0, 4), np.float32))
    motion.keep(np.empty(0, np.bool_))
    assert len(motion) == 0
    assert motion.boxes_xyxy().shape == (0, 4)
    assert motion.velocities().shape == (0, 2)


@given(seed=st.integers(0, 999))
def test_components_and_boxes_are_each_other_s_inverse(seed: int) -> None:
    there = boxes(np.random.default_rng(seed), 5)
    np.testing.assert_allclose(from_components(to_components(there)), there, rtol=1e-12)

"""The batched filter against filterpy, and what the motion model promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from pipeline.tracking import kalman
from pipeline.tracking.filterpy_motion import FilterpyMotion, process_noise, transition
from pipeline.tracking.forms import FORMS, SMALLEST, XYWH, XYWH_BOTSORT, Form
from pipeline.tracking.kalman import Kalman
from pipeline.tracking.motion import GATE_BOX, Floats, Motion, Noise

MOTIONS = [Kalman, FilterpyMotion]
Make = Callable[..., Motion]

each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def boxes(rng: np.random.Generator, count: int) -> Floats:
    corner = rng.uniform(0, 1000, (count, 2))
    return np.concatenate((corner, corner + rng.uniform(5, 300, (count, 2))), axis=1)


def jittered(rng: np.random.Generator, boxes_xyxy: Floats) -> Floats:
    """The same objects, each elsewhere and of another size by up to a tenth of its own."""
    size = np.tile(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 2)
    return boxes_xyxy + rng.uniform(-0.1, 0.1, boxes_xyxy.shape) * size


def random_noise(rng: np.random.Generator) -> Noise:
    return Noise(*(tuple(10 ** rng.uniform(-3, 1, 4)) for _ in range(5)))


def means_and_covariances(motion: Motion) -> tuple[Floats, Floats]:
    """As (N, 8) and (N, 8, 8), the positions of the four components before their velocities."""
    arrays = motion.saved()
    if isinstance(motion, FilterpyMotion):
        return arrays["x"].reshape(-1, 8), arrays["P"].reshape(-1, 8, 8)
    p, v, _, p00, p01, p11 = arrays["state"][:6]
    blocks = [
        [np.einsum("in,ij->nij", part, np.eye(4)) for part in row]
        for row in ((p00, p01), (p01, p11))
    ]
    return np.concatenate((p, v)).T, np.block(blocks)


def assert_equal_states(ours: Motion, reference: Motion) -> None:
    """To 1e-9 of each state's own scale.

    That of a position is its value and standard deviation, that of a velocity also the way to this
    position in a second, that of a covariance the two standard deviations.
    """
    (mean, covariance), (mean_ref, covariance_ref) = map(means_and_covariances, (ours, reference))
    deviation = np.sqrt(np.diagonal(covariance_ref, axis1=1, axis2=2))
    scale = np.abs(mean_ref) + deviation
    scale[:, 4:] += scale[:, :4]
    assert (np.abs(mean - mean_ref) <= 1e-9 * scale).all()
    scale = deviation[:, :, None] * deviation[:, None] + 1e-300
    assert (np.abs(covariance - covariance_ref) <= 1e-9 * scale).all()


@each_form
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 25), published=st.booleans())
def test_batched_filter_equals_filterpy(form: Form, seed: int, steps: int, published: bool) -> None:
    rng = np.random.default_rng(seed)
    noise = None if published else random_noise(rng)
    pair = Kalman(form, noise), FilterpyMotion(form, noise)
    for _ in range(steps):
        dt, born = rng.uniform(0, 2), boxes(rng, rng.integers(0, 4))
        known = len(pair[0])
        rows = np.flatnonzero(rng.random(known) < 0.7)
        found = jittered(rng, pair[0].boxes_xyxy()[rows])
        mask = rng.random(known + len(born)) < 0.9
        for motion in pair:
            motion.predict(dt)
            motion.update(rows, found)
            motion.initiate(born)
            motion.keep(mask)
        assert len(pair[0]) == len(pair[1]) == mask.sum()
        assert_equal_states(*pair)
        for of in ("boxes_xyxy", "velocities"):
            ours, reference = (getattr(motion, of)() for motion in pair)
            np.testing.assert_allclose(ours, reference, rtol=1e-9, atol=1e-9)


@each_form
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_warp_reupdate_and_distances_equal_filterpy(form: Form, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = Kalman(form), FilterpyMotion(form)
    first, rows = boxes(rng, 5), np.arange(5)
    # Objects that keep their size: SORT stops an area that shrinks to nothing, and what it would
    # have become cannot be taken back.
    moved = [first + rng.uniform(-20, 20, (5, 2))[:, [0, 1, 0, 1]] for _ in range(3)]
    gaps = np.zeros(5)
    for motion in pair:
        motion.initiate(first)
    for found in moved:
        matrix = np.eye(2, 3) + rng.normal(0, 0.02, (2, 3))
        matrix[:, 2] *= 500
        seen = rng.random(5) < 0.5
        dt = rng.uniform(0.05, 0.5)
        gaps += dt
        for motion in pair:
            motion.predict(dt)
            motion.warp(matrix)
            motion.reupdate(rows[seen], found[seen], gaps[seen])
        gaps[seen] = 0
        assert_equal_states(*pair)
        ours, reference = (motion.squared_distances(rows[::-1], found) for motion in pair)
        np.testing.assert_allclose(ours, reference, rtol=1e-7)


@pytest.mark.parametrize("make", MOTIONS)
@each_form
@given(a=st.floats(0, 3), b=st.floats(0, 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_two_predictions_equal_one_over_the_whole_time(
    form: Form, make: Make, a: float, b: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first = boxes(rng, 3)
    moved = first + rng.uniform(-20, 20, (3, 1))
    stepped, whole = make(form), make(form)
    for motion, steps in ((stepped, [a, b]), (whole, [a + b])):
        motion.initiate(first)
        motion.predict(0.1)
        motion.update(np.arange(3), moved)
        for dt in steps:
            motion.predict(dt)
    assert_equal_states(stepped, whole)


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
@each_form
def test_a_shrinking_box_does_not_turn_inside_out(form: Form, make: Make) -> None:
    motion = make(form)
    motion.initiate(np.array([[0.0, 0, 100, 100]]))
    motion.predict(0.1)
    motion.update(np.array([0]), np.array([[40.0, 40, 60, 60]]))
    motion.predict(60.0)
    (x1, y1, x2, y2) = motion.boxes_xyxy()[0]
    assert min(x2 - x1, y2 - y1) >= SMALLEST * (1 - 1e-9)
    assert max(x2 - x1, y2 - y1) < 100
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


@pytest.mark.parametrize("make", MOTIONS)
@each_form
def test_a_warped_track_is_where_the_camera_s_motion_takes_it(form: Form, make: Make) -> None:
    turn = 1.2 * np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    motion = make(form)
    motion.initiate(np.array([[100.0, 50, 140, 150]]))
    motion.predict(0.1)
    motion.update(np.array([0]), np.array([[104.0, 52, 144, 152]]))
    velocity, (x1, y1, x2, y2) = motion.velocities()[0], motion.boxes_xyxy()[0]
    motion.warp(np.column_stack((turn, (7.0, -3.0))))
    centre = turn @ ((x1 + x2) / 2, (y1 + y2) / 2) + (7, -3)
    half = 1.2 * np.array([x2 - x1, y2 - y1]) / 2
    np.testing.assert_allclose(motion.boxes_xyxy()[0], [*(centre - half), *(centre + half)])
    np.testing.assert_allclose(motion.velocities()[0], turn @ velocity)


@pytest.mark.parametrize("form", [form for form in FORMS.values() if form is not XYWH_BOTSORT])
def test_the_variance_of_a_turned_track_is_exact(form: Form) -> None:
    turn = 1.2 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    motion = Kalman(form)
    motion.initiate(np.array([[100.0, 50, 140, 150]]))
    motion.predict(0.2)
    _, before = means_and_covariances(motion)
    motion.warp(np.column_stack((turn, (7.0, -3.0))))
    _, after = means_and_covariances(motion)
    np.testing.assert_allclose(
        after[0, :2, :2], turn @ before[0, :2, :2] @ turn.T, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("make", MOTIONS)
@each_form
def test_warping_back_leaves_no_trace(form: Form, make: Make) -> None:
    there = np.array([[1.3, 0, 5], [0, 1.3, -80]])
    back = np.array([[1 / 1.3, 0, -5 / 1.3], [0, 1 / 1.3, 80 / 1.3]])
    warped, left = make(form), make(form)
    for motion in (warped, left):
        motion.initiate(np.array([[100.0, 50, 140, 150]]))
        motion.predict(0.2)
    warped.warp(there)
    warped.warp(back)
    for motion in (warped, left):
        # Shows whether noise and the last observation came back too.
        motion.predict(0.2)
        motion.reupdate(np.array([0]), np.array([[120.0, 60, 160, 170]]), np.array([0.4]))
    assert_equal_states(warped, left)


@pytest.mark.parametrize("make", MOTIONS)
@each_form
def test_a_track_found_again_has_the_velocity_of_its_gap(form: Form, make: Make) -> None:
    box, rows = np.array([[100.0, 50, 140, 150]]), np.array([0])
    motion = make(form)
    motion.initiate(box)
    for k in range(1, 6):
        motion.predict(0.1)
        # Pulled to the left just before it is lost, as by another object that covers it.
        motion.update(rows, box - k * np.array([8.0, 0, 8.0, 0]))
    motion.predict(1.0)
    # 100 px from where it was last; a mere update makes it 108 to 120 px/s, by the form.
    motion.reupdate(rows, box + np.array([60.0, 0, 60.0, 0]), np.array([1.0]))
    assert motion.velocities()[0, 0] == pytest.approx(100, rel=0.08)


@each_form
@pytest.mark.parametrize("missed", [3, 10, 30, 60])
def test_few_virtual_observations_are_as_good_as_one_a_frame(
    form: Form, missed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def velocities(virtual: int) -> Floats:
        """Of objects that turned round when they were lost, in their sizes per second."""
        monkeypatch.setattr(kalman, "VIRTUAL", virtual)
        rng, rows = np.random.default_rng(1), np.arange(200)
        box = boxes(rng, 200)
        size = np.sqrt(np.prod(box[:, 2:] - box[:, :2], axis=1))[:, None]
        step = np.tile(rng.normal(0, 0.4 / 30, (200, 2)) * size, 2)
        motion = Kalman(form)
        motion.initiate(box)
        for k in range(1, 16):
            motion.predict(1 / 30)
            motion.update(rows, box + k * step)
        motion.predict(missed / 30)
        motion.reupdate(rows, box + (15 - missed) * step, np.full(200, missed / 30))
        return motion.velocities() / size

    def differ(virtual: int) -> float:
        return float(np.sqrt(np.mean((velocities(virtual) - velocities(missed)) ** 2)))

    assert differ(kalman.VIRTUAL) < (0.07 if form is XYWH else 0.005)
    if missed >= 30:
        mere_update = 1
        assert differ(mere_update) > 3 * differ(kalman.VIRTUAL)


def test_distances_of_true_pairs_are_chi_square_distributed() -> None:
    assert chi2.ppf(0.95, 4) == pytest.approx(GATE_BOX, rel=1e-12)
    # Little noise: it grows with the size, which noise changes.
    noise = replace(XYWH.noise, measurement=(1e-4,) * 4, position=(1e-4,) * 4)
    rng, motion = np.random.default_rng(0), Kalman(noise=noise)
    count = 4000
    truth = np.tile([100.0, 100, 200, 200], (count, 1))

    def detected() -> Floats:
        centre, extent = rng.normal(0, 1, (2, count, 2))
        return truth + np.concatenate((centre - extent / 2, centre + extent / 2), axis=1)

    motion.initiate(detected())
    distances = motion.squared_distances(np.arange(count), detected())
    assert np.mean(distances < GATE_BOX) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("make", MOTIONS)
@each_form
@pytest.mark.parametrize("tracks", [0, 3])
def test_a_restored_filter_goes_on_to_the_last_bit(form: Form, make: Make, tracks: int) -> None:
    rng = np.random.default_rng(0)
    first, second = boxes(rng, tracks), boxes(rng, tracks)
    saved_from = make(form)
    saved_from.initiate(first)
    saved_from.predict(0.3)
    arrays = saved_from.saved()
    restored = make(form)
    restored.restore(arrays)
    for motion in (saved_from, restored):
        motion.predict(0.1)
        motion.reupdate(np.arange(tracks), second, np.full(tracks, 0.4))
    assert_same(saved_from.saved(), restored.saved())
    assert len(restored) == tracks


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])

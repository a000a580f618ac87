"""The forms of the state: what describes a box, and that published noise means what it did."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.forms import FORMS, SMALLEST, XYAH, XYSR, XYWH, XYWH_BOTSORT, Form
from pipeline.tracking.kalman import Kalman

each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)

BOX = np.array([[10.0, 20, 50, 100]])


@each_form
@given(seed=st.integers(0, 999))
def test_components_and_boxes_are_each_other_s_inverse(form: Form, seed: int) -> None:
    corner = np.random.default_rng(seed).uniform(1, 1000, (5, 2))
    there = np.concatenate((corner, corner + corner[::-1]), axis=1)
    np.testing.assert_allclose(form.from_components(form.to_components(there)), there, rtol=1e-12)


@pytest.mark.parametrize(
    ("form", "extent"),
    [(XYWH, (40, 80)), (XYWH_BOTSORT, (40, 80)), (XYAH, (0.5, 80)), (XYSR, (3200, 0.5))],
)
def test_components_are_those_of_the_name(form: Form, extent: tuple[float, float]) -> None:
    np.testing.assert_array_equal(form.to_components(BOX)[:, 0], [30, 60, *extent])


@each_form
def test_a_box_without_extent_gets_the_smallest(form: Form) -> None:
    ((x1, y1, x2, y2),) = form.from_components(form.to_components(np.array([[5.0, 5, 5, 5]])))
    assert (x2 - x1, y2 - y1) == (SMALLEST, SMALLEST)


@pytest.mark.parametrize(
    ("form", "scale2"),
    [(XYWH, 3200), (XYWH_BOTSORT, (1600, 6400, 1600, 6400)), (XYAH, (6400, 6400, 1, 6400)),
     (XYSR, 1)],
)  # fmt: skip
def test_noise_scales_as_published(form: Form, scale2: object) -> None:
    np.testing.assert_array_equal(form.scale2(form.to_components(BOX))[..., 0], scale2)


@pytest.mark.parametrize(
    ("form", "unit", "walk", "acceleration"),
    [
        (XYAH, [80, 80, 1, 80], [0.05, 0.05, 1e-2, 0.05], [1 / 160, 1 / 160, 1e-5, 1 / 160]),
        (XYWH_BOTSORT, [40, 80, 40, 80], [0.05] * 4, [0.00625] * 4),
        (XYSR, [1, 1, 1, 1], [1, 1, 1, 1], [0.1, 0.1, 0.01, 0]),
    ],
)
def test_a_frame_adds_the_published_process_noise(
    form: Form, unit: list[float], walk: list[float], acceleration: list[float]
) -> None:
    motion = Kalman(form)
    motion.initiate(BOX)
    before = motion.saved()["state"][..., 0]
    motion.predict(1 / 30)
    after = motion.saved()["state"][..., 0]
    # Per frame, as published: F P Fᵀ + Q, with velocities in units per frame.
    scale, q = np.square(unit), np.square(acceleration)
    velocity = (after[5] - before[5]) / 30**2
    np.testing.assert_allclose(velocity, q * scale, rtol=1e-6, atol=1e-18)
    position = after[3] - before[3] - before[5] / 30**2
    np.testing.assert_allclose(position, (np.square(walk) + q / 3) * scale, rtol=1e-9)

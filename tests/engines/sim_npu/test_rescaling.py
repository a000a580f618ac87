"""Rescaling at the very sums where the result changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.sim_npu.operators import MAX_SHIFT
from engines.sim_npu.runtime.rescaling import EXACT, RESCALINGS, rescale


@given(
    multiplier=st.integers(1, 2**31 - 1),
    shift=st.integers(0, MAX_SHIFT),
    zero_point=st.integers(-128, 127),
)
def test_every_step_is_where_whole_numbers_have_it(
    multiplier: int, shift: int, zero_point: int
) -> None:
    """The first sum that gives k or more is ceil((2k - 1) · 2^shift / (2 · multiplier))."""
    results = range(-127 - zero_point, 128 - zero_point)
    firsts = [-((1 - 2 * k) * 2**shift // (2 * multiplier)) for k in results]
    sums = [0] + [value for first in firsts for value in (first - 1, first) if abs(value) < 2**31]
    expected = [
        min(127, max(-128, (2 * s * multiplier + 2**shift) // 2 ** (shift + 1) + zero_point))
        for s in sums
    ]
    constants = {
        "multiplier": np.array([multiplier], np.int32),
        "shift": np.array([shift], np.uint8),
    }
    rescaling = RESCALINGS["fixed"](constants, zero_point)
    found = rescale(np.array(sums, np.float64)[None, None], rescaling)
    np.testing.assert_array_equal(found[0, 0].astype(int) - 128, expected)
    assert rescaling.single is not None
    if not len(rescaling.single.unfit):
        near = [index for index, value in enumerate(sums) if abs(value) < EXACT]
        single = np.rint(np.array(sums, np.float32)[near] * rescaling.single.factors)
        single = np.clip(single + rescaling.single.zero, 0, 255)
        np.testing.assert_array_equal(single.astype(np.uint8), found[0, 0, near])


def test_few_channels_are_unfit_for_float32() -> None:
    """Ratios as they come: not one in ten has to be worked out again."""
    chance = np.random.default_rng(0)
    constants = {
        "multiplier": chance.integers(2**30, 2**31, 1000).astype(np.int32),
        "shift": chance.integers(37, 40, 1000).astype(np.uint8),
    }
    single = RESCALINGS["fixed"](constants, 5).single
    assert single is not None
    assert 0 < len(single.unfit) < 100

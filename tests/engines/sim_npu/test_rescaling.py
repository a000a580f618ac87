"""Rescaling at the very sums where the result changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.sim_npu.operators import MAX_SHIFT
from engines.sim_npu.runtime.rescaling import Fixed, rescale


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
    found = rescale(np.array(sums, np.float64)[None, None], Fixed(constants, zero_point))
    np.testing.assert_array_equal(found[0, 0].astype(int) - 128, expected)

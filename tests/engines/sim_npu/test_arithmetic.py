"""The fast arithmetic equals the slow reference, one layer at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Tensor
from tests.engines.sim_npu import reference
from tests.engines.sim_npu.layers import Case, layers, run


@pytest.mark.parametrize("rounding", ["fixed", "float"])
@given(case=layers)
@settings(max_examples=250, deadline=None)
def test_fast_equals_the_reference(rounding: str, case: Case) -> None:
    expected = reference.run(case.layer, case.tensors, rounding, *case.inputs)
    np.testing.assert_array_equal(run(case, rounding), expected)


def one_sum(channels: int, weight: int, bias: int, shift: int) -> Case:
    """A 3 x 3 convolution with one window, of numbers as large as there are."""
    rng = np.random.default_rng(channels)
    inputs = np.where(rng.random((1, channels, 3, 3)) < 0.97, 127, 126).astype(np.int8)
    layer = Layer(
        "deep",
        "conv",
        ("x",),
        "y",
        {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "groups": 1},
        {
            "weights": np.full((1, channels, 3, 3), weight, np.int8),
            "bias": np.array([bias], np.int32),
            "multiplier": np.array([2**30 + 12345], np.int32),
            "shift": np.array([shift], np.uint8),
            "ratio": np.array([2.0 ** (30 - shift)], np.float32),
        },
    )
    tensors = {
        "x": Tensor((1, channels, 3, 3), 1.0, -128),
        "y": Tensor((1, 1, 1, 1), 1.0, 0),
    }
    return Case(layer, tensors, [inputs])


@pytest.mark.parametrize("rounding", ["fixed", "float"])
@pytest.mark.parametrize("channels", [64, 1024, 2048])
def test_a_sum_beyond_float32_stays_exact(channels: int, rounding: str) -> None:
    """The bias leaves a small rest of a sum that float32 cannot hold."""
    weight = 127
    case = one_sum(channels, weight, 0, 0)
    total = int((case.inputs[0].astype(np.int64) + 128).sum()) * weight
    for rest in range(-5, 6):
        exact = one_sum(channels, weight, rest - total, 30)
        expected = reference.run(exact.layer, exact.tensors, rounding, *exact.inputs)
        np.testing.assert_array_equal(run(exact, rounding), expected)
        assert expected.item() == rest


def test_a_sum_beyond_everything_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"split the layer's input channels"):
        run(one_sum(8000, 127, 0, 40), "fixed")

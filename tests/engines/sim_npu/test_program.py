"""A segment's layers in order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from engines.errors import ProgramError, TensorError
from engines.sim_npu.artefact import Artefact, Layer, Segment, Tensor
from engines.sim_npu.runtime.program import DeviceProgram
from tests.engines.sim_npu import reference
from tests.engines.sim_npu.layers import networks

RNG = np.random.default_rng(5)
WINDOW = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "groups": 1}
TENSORS = {
    "x": Tensor((1, 3, 8, 8), 0.02, -10),
    "c": Tensor((1, 4, 8, 8), 0.05, 3),
    "a": Tensor((1, 4, 8, 8), 0.05, -128),
    "s": Tensor((1, 4, 8, 8), 0.08, 0),
    "p": Tensor((1, 4, 4, 4), 0.08, 0),
}
LAYERS = (
    Layer(
        "stem",
        "conv",
        ("x",),
        "c",
        WINDOW,
        {
            "weights": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
            "bias": RNG.integers(-900, 900, 4).astype(np.int32),
            "multiplier": RNG.integers(2**30, 2**31, 4).astype(np.int32),
            "shift": np.full(4, 38, np.uint8),
        },
        cycles=1000,
    ),
    Layer("act", "lookup", ("c",), "a", {}, {"table": np.arange(-128, 128).astype(np.int8)}),
    Layer(
        "sum",
        "add",
        ("c", "a"),
        "s",
        {},
        {"multiplier": np.array([2**30, 2**29], np.int32), "shift": np.array([31], np.uint8)},
        cycles=50,
    ),
    Layer("pool", "max_pool", ("s",), "p", {"kernel": [2, 2], "strides": [2, 2], "pads": [0] * 4}),
)


def artefact(*layers: Layer, outputs: tuple[str, ...] = ("p",)) -> Artefact:
    segment = Segment(("x",), outputs, layers)
    return Artefact("hi3559a-nnie", "", "fixed", "", TENSORS, (segment,), ("x",), outputs)


def program(compiled: Artefact) -> DeviceProgram:
    return DeviceProgram(compiled, compiled.segments[0])


def test_layers_run_in_order_as_the_reference_has_them() -> None:
    x = RNG.integers(-128, 128, (1, 3, 8, 8)).astype(np.int8)
    expected = {"x": x}
    for layer in LAYERS:
        inputs = [expected[name] for name in layer.inputs]
        expected[layer.output] = reference.run(layer, TENSORS, "fixed", *inputs)
    found = program(artefact(*LAYERS, outputs=("a", "p"))).run({"x": x})
    assert found.keys() == {"a", "p"}
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == np.int8


@pytest.mark.parametrize("rounding", ["fixed", "float"])
@given(network=networks())
@settings(max_examples=120, deadline=None)
def test_random_networks_equal_the_reference(
    rounding: str, network: tuple[dict[str, Tensor], list[Layer], NDArray[np.int8]]
) -> None:
    tensors, layers, x = network
    expected = {"t0": x}
    for layer in layers:
        inputs = [expected[name] for name in layer.inputs]
        expected[layer.output] = reference.run(layer, tensors, rounding, *inputs)
    outputs = (layers[0].output, layers[-1].output)
    segment = Segment(("t0",), outputs, tuple(layers))
    compiled = Artefact("hi3559a-nnie", "", rounding, "", tensors, (segment,), ("t0",), outputs)
    for name, array in program(compiled).run({"t0": x}).items():
        np.testing.assert_array_equal(array, expected[name])


def test_size_and_cycles_are_added_up() -> None:
    made = program(artefact(*LAYERS))
    constants = 4 * 27 + 4 * 4 + 4 * 4 + 4 + 256 + 8 + 1
    assert made.size == constants + 3 * 256  # c, a and s are alive together
    assert made.cycles == 1050
    assert made.cycles_by_layer == {"stem": 1000, "act": 0, "sum": 50, "pool": 0}
    assert made.macs == 4 * 27 * 8 * 8


def test_only_int8_of_the_right_shape_is_taken() -> None:
    made = program(artefact(*LAYERS))
    with pytest.raises(TensorError, match=r"takes int8\[1, 3, 8, 8\], got float32"):
        made.run({"x": np.zeros((1, 3, 8, 8), np.float32)})  # type: ignore[dict-item]
    with pytest.raises(TensorError, match=r"got int8\[1, 3, 8, 7\]"):
        made.run({"x": np.zeros((1, 3, 8, 7), np.int8)})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (replace(LAYERS[0], operator="erf"), "'stem': the device has no operator 'erf'; it has"),
        (replace(LAYERS[0], constants={}), "conv needs bias, multiplier, shift, weights"),
        (replace(LAYERS[0], attributes={}), "conv needs dilations, groups, pads, strides"),
        (replace(LAYERS[0], inputs=("x", "x")), "conv takes 1 inputs, not 2"),
        (replace(LAYERS[0], inputs=("z",)), "reads .'z'., which nothing makes"),
        (replace(LAYERS[0], output="q"), "have no scale in the artefact"),
        (replace(LAYERS[0], output="p"), r"makes \(1, 4, 8, 8\), expected \(1, 4, 4, 4\)"),
        (
            replace(LAYERS[0], constants=LAYERS[0].constants | {"shift": np.full(4, 45, np.uint8)}),
            "conv has a shift that is not in 0 … 44",
        ),
        (
            replace(LAYERS[0], constants=LAYERS[0].constants | {"shift": np.full(3, 30, np.uint8)}),
            r"conv has shift uint8\[3\], expected uint8\[4\]",
        ),
    ],
)
def test_what_the_device_cannot_run_is_refused(layer: Layer, message: str) -> None:
    compiled = artefact(layer, outputs=(layer.output,))
    with pytest.raises(ProgramError, match=message):
        program(compiled)

"""Real numbers outside, stored integers inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines import BackendInfo, Engine, Network, Program, TensorError, TensorSpec
from engines.border import dequantised, give, outside, quantised, take
from engines.options import Options
from engines.program import Tensors
from engines.traffic import Work

STORED = TensorSpec("x", (2, 3), np.dtype("int8"), scale=0.5, zero_point=-3)
PLAIN = TensorSpec("y", (2,), np.dtype("float32"))


class Whole(Engine):
    """Takes and gives int8, and one tensor of reals."""

    backend = "whole"

    @classmethod
    def describe(cls) -> BackendInfo:
        return BackendInfo(cls.backend, "", ("cpu",), ("int8",), (), (), "", "")

    @classmethod
    def can_run(cls, program: Program) -> bool:
        return True

    def _init(self) -> None:
        pass

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        return (STORED, PLAIN), (STORED, PLAIN)

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        return {name: array.copy() for name, array in inputs.items()}


@pytest.fixture
def engine(tmp_path: Any) -> Engine:
    path = tmp_path / "network"
    path.touch()
    real = TensorSpec("x", (-1, 3), np.dtype("float32"), "nc")
    engine = Whole("e", "cpu", Options())
    engine.init()
    engine.prepare(Network(path, "any", (real, PLAIN), (real,)))
    return engine


def test_what_is_declared_in_reals_is_agreed_in_integers(engine: Engine) -> None:
    x, y = engine.inputs
    assert (x.dtype, x.scale, x.layout, x.shape) == (np.int8, 0.5, "nc", (2, 3))
    assert y == PLAIN
    assert outside(x) == TensorSpec("x", (2, 3), np.dtype("float32"), "nc")
    assert outside(y) is y


def test_reals_go_in_and_come_out(engine: Engine) -> None:
    reals = np.array([[0.0, 0.5, -1.0], [0.24, 1e9, -1e9]], np.float32)
    give(engine, "x", reals)
    give(engine, "y", np.array([0.1, 0.2], np.float32))
    engine.forward()
    assert engine.get_tensor("x").tolist() == [[-3, -2, -5], [-3, 127, -128]]
    assert take(engine, "x").tolist() == [[0, 0.5, -1], [0, 65, -62.5]]
    assert take(engine, "y").tolist() == pytest.approx([0.1, 0.2])
    assert engine.traffic.bytes_in == engine.traffic.bytes_out - 6 == 6 + 8
    assert (engine.traffic.quantised.bytes, engine.traffic.dequantised.bytes) == (24, 6)
    assert engine.traffic.convert_ns > 0


def test_integers_are_given_as_they_are_and_reals_refused_without_the_border(
    engine: Engine,
) -> None:
    give(engine, "x", np.full((2, 3), 7, np.int8))
    assert (engine.traffic.bytes_in, engine.traffic.quantised) == (6, Work())
    with pytest.raises(TensorError, match=r"expected x: int8\[2, 3\] nc, got float32"):
        engine.set_tensor("x", np.zeros((2, 3), np.float32))
    with pytest.raises(TensorError, match="no input 'z'"):
        give(engine, "z", np.zeros(3, np.float32))


def test_a_nan_is_stored_as_zero() -> None:
    assert quantised(np.array([np.nan, np.inf], np.float32), STORED).tolist() == [-3, 127]
    assert quantised(np.array([-np.inf, np.nan], np.float32), STORED).tolist() == [-128, -3]


def test_of_no_numbers_there_are_none() -> None:
    stored = quantised(np.empty((0, 3), np.float32), STORED)
    assert (stored.shape, stored.dtype) == ((0, 3), np.int8)
    assert dequantised(stored, STORED).shape == (0, 3)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1),
    st.floats(1e-4, 1e3),
    st.integers(-128, 127),
)
def test_the_nearest_that_the_grid_has(values: list[float], scale: float, zero_point: int) -> None:
    spec = TensorSpec("x", (-1,), np.dtype("int8"), scale=scale, zero_point=zero_point)
    reals = np.array(values, np.float32)
    back = dequantised(quantised(reals, spec), spec)
    limits = (np.array([-128, 127]) - zero_point) * np.float64(scale)
    off = np.abs(back - np.clip(reals, *limits))
    assert (off <= scale * 0.5001 + np.abs(reals) * 1e-6).all()


@pytest.mark.parametrize("stored", ["int8", "uint8"])
@pytest.mark.parametrize("scale", [0.25, 0.0173, 1.0, 3.7])
def test_the_numbers_are_those_of_onnx(stored: str, scale: float) -> None:
    """Halves between two steps too, and what lies beyond the grid."""
    limits = np.iinfo(stored)
    spec = TensorSpec("x", (-1,), np.dtype(stored), scale=scale, zero_point=limits.min + 100)
    halves = np.arange(-400, 400, dtype=np.float32) / 2 * np.float32(scale)
    noise = np.random.default_rng(0).normal(0, 100 * scale, 10_000).astype(np.float32)
    reals = np.concatenate([halves, noise, np.array([np.inf, -np.inf], np.float32)])
    number = TensorProto.INT8 if stored == "int8" else TensorProto.UINT8
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "onnx",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [
            helper.make_tensor_value_info("q", number, ["n"]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"]),
        ],
        [
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
            numpy_helper.from_array(np.array(spec.zero_point, stored), "zero_point"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    integers, back = session.run(["q", "y"], {"x": reals})
    np.testing.assert_array_equal(quantised(reals, spec), integers)
    np.testing.assert_array_equal(dequantised(integers, spec), back)

"""The fast arithmetic equals the slow reference, and in its second mode ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.runtime.arithmetic import step
from tests.engines.sim_npu import reference
from tests.engines.sim_npu.layers import Case, convolutions, layers, moves, pairs, pools, products


def run(case: Case, rounding: str) -> NDArray[np.int8]:
    """The runtime's result, as int8."""
    layer = step(case.layer, case.tensors, rounding)
    inputs = [(one.astype(np.int16) + 128).astype(np.uint8) for one in case.inputs]
    return (layer(*inputs).astype(np.int16) - 128).astype(np.int8)


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


def onnx_runtime(nodes: list[Any], case: Case, constants: dict[str, Any]) -> NDArray[np.int8]:
    """What these nodes make of the case's inputs."""
    names = case.layer.inputs
    graph = helper.make_graph(
        nodes,
        "expected",
        [
            helper.make_tensor_value_info(name, TensorProto.INT8, array.shape)
            for name, array in zip(names, case.inputs, strict=True)
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT8, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # Optimised, the nodes would be replaced by others.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, dict(zip(names, case.inputs, strict=True)))[0]


def borders(case: Case) -> dict[str, Any]:
    """Scales and zero points of a case's tensors, as constants."""
    constants: dict[str, Any] = {}
    for name, tensor in case.tensors.items():
        constants[f"{name}_scale"] = np.float32(tensor.scale)
        constants[f"{name}_zero"] = np.int8(tensor.zero_point)
    return constants


def with_weight_scales(case: Case) -> tuple[Case, NDArray[np.float32]]:
    """The case with weights of 7 bits and ratios that come from three scales.

    On processors without dot products of bytes, ONNX Runtime's own sums saturate with 8 bits.
    """
    x, y = np.float32(case.tensors["x"].scale), np.float32(case.tensors["y"].scale)
    constants = dict(case.layer.constants)
    scales = (constants["ratio"] * y / x).astype(np.float32)
    constants["ratio"] = (x * scales) / y
    constants["weights"] = constants["weights"] // 2
    layer = Layer("layer", case.layer.operator, ("x",), "y", case.layer.attributes, constants)
    return Case(layer, case.tensors, case.inputs), scales


@given(case=convolutions())
@settings(max_examples=150, deadline=None)
def test_float_convolution_equals_qlinearconv(case: Case) -> None:
    case, scales = with_weight_scales(case)
    given_ = case.layer.attributes
    node = helper.make_node(
        "QLinearConv",
        ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "b"],
        ["y"],
        strides=given_["strides"],
        pads=given_["pads"],
        dilations=given_["dilations"],
        group=given_["groups"],
    )
    constants = {
        "w": case.layer.constants["weights"],
        "w_scale": scales,
        "w_zero": np.zeros(len(scales), np.int8),
        "b": case.layer.constants["bias"],
    }
    expected = onnx_runtime([node], case, borders(case) | constants)
    np.testing.assert_array_equal(run(case, "float"), expected)


@given(case=products())
@settings(max_examples=50, deadline=None)
def test_float_product_equals_qgemm(case: Case) -> None:
    case, scales = with_weight_scales(case)
    node = helper.make_node(
        "QGemm",
        ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "b", "y_scale", "y_zero"],
        ["y"],
        domain="com.microsoft",
        transB=1,
    )
    constants = {
        "w": case.layer.constants["weights"],
        "w_scale": scales,
        "w_zero": np.zeros(len(scales), np.int8),
        "b": case.layer.constants["bias"],
    }
    expected = onnx_runtime([node], case, borders(case) | constants)
    np.testing.assert_array_equal(run(case, "float"), expected)


@given(case=pairs())
@settings(max_examples=50, deadline=None)
def test_float_pair_equals_dequantise_operate_quantise(case: Case) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "a_scale", "a_zero"], ["p"]),
        helper.make_node("DequantizeLinear", ["b", "b_scale", "b_zero"], ["q"]),
        helper.make_node(case.layer.operator.capitalize(), ["p", "q"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "y_scale", "y_zero"], ["y"]),
    ]
    np.testing.assert_array_equal(run(case, "float"), onnx_runtime(nodes, case, borders(case)))


@given(case=pools(("max_pool",)))
@settings(max_examples=30, deadline=None)
def test_max_pool_equals_onnx(case: Case) -> None:
    given_ = case.layer.attributes
    node = helper.make_node(
        "MaxPool",
        ["x"],
        ["y"],
        kernel_shape=given_["kernel"],
        strides=given_["strides"],
        pads=given_["pads"],
    )
    np.testing.assert_array_equal(run(case, "fixed"), onnx_runtime([node], case, {}))


@given(case=moves(("resize_nearest",)))
@settings(max_examples=20, deadline=None)
def test_resizing_equals_onnx(case: Case) -> None:
    factors = np.array([1, 1, *case.layer.attributes["factors"]], np.float32)
    node = helper.make_node(
        "Resize",
        ["x", "", "factors"],
        ["y"],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    expected = onnx_runtime([node], case, {"factors": factors})
    np.testing.assert_array_equal(run(case, "fixed"), expected)

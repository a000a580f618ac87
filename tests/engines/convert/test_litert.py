"""ONNX operators in TensorFlow Lite, each against ONNX Runtime; layouts, open axes, refusals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import Network, ProgramError, TensorSpec
from engines.convert.litert import convert

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

RNG = np.random.default_rng(3)
IMAGE = (1, 4, 8, 12)
Constants = dict[str, np.ndarray]


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def node(kind: str, *sources: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(sources), [to], **attributes)


def save(
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: Constants | None = None,
    shape: tuple[int | str, ...] = IMAGE,
    opset: int = 13,
    outputs: tuple[str, ...] = ("y",),
    result: tuple[int | str, ...] | None = None,
) -> Network:
    """A network from x to y, with the opset given."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, result) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    path = folder / "network.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return Network(path, "onnx", precision="fp32")


def run(backend: str, network: Network, image: np.ndarray) -> dict[str, np.ndarray]:
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor("x", image)
        engine.forward()
        return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}


def compare(network: Network, folder: Path, image: np.ndarray) -> None:
    found = run("litert", convert(network, folder, "fp32"), image)
    expected = run("onnxruntime", network, image)
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-5, rtol=1e-5)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def conv(kernel: int, groups: int = 1, outputs: int = 8, **given: Any) -> tuple[Any, Constants]:
    shape = (outputs, IMAGE[1] // groups, kernel, kernel)
    nodes = [node("Conv", "x", "w", "b", group=groups, **given)]
    return nodes, {"w": weights(*shape), "b": weights(outputs)}


CASES: dict[str, tuple[list[onnx.NodeProto], Constants]] = {
    "conv": conv(3, pads=[1, 1, 1, 1]),
    "conv, no bias": ([node("Conv", "x", "w")], {"w": weights(8, 4, 3, 3)}),
    "conv, stride 2": conv(3, pads=[1, 1, 1, 1], strides=[2, 2]),
    "conv, uneven pads": conv(3, pads=[0, 1, 2, 1]),
    "conv, dilated": conv(3, pads=[2, 2, 2, 2], dilations=[2, 2]),
    "conv, grouped": conv(3, groups=2, pads=[1, 1, 1, 1]),
    "conv, depthwise": conv(5, groups=4, outputs=4, pads=[2, 2, 2, 2]),
    "conv, depthwise, multiplied": conv(3, groups=4, outputs=8, strides=[2, 2]),
    "relu": ([node("Relu", "x")], {}),
    "clip 0..6": (
        [node("Clip", "x", "low", "high")],
        {"low": np.array(0, np.float32), "high": np.array(6, np.float32)},
    ),
    "clip below": ([node("Clip", "x", "low")], {"low": np.array(-0.5, np.float32)}),
    "leaky relu": ([node("LeakyRelu", "x", alpha=0.2)], {}),
    "sigmoid": ([node("Sigmoid", "x")], {}),
    "exp": ([node("Exp", "x")], {}),
    "tanh": ([node("Tanh", "x")], {}),
    "add per channel": ([node("Add", "x", "c")], {"c": weights(4, 1, 1)}),
    "constant first": ([node("Sub", "c", "x")], {"c": weights(1, 4, 1, 1)}),
    "times itself": ([node("Mul", "x", "x")], {}),
    "divided": ([node("Div", "x", "c")], {"c": np.array([4.0], np.float32)}),
    "max pool": ([node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "max pool, same": ([node("MaxPool", "x", kernel_shape=[5, 5], pads=[2, 2, 2, 2])], {}),
    "max pool, padded": (
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {},
    ),
    "average pool": ([node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "average pool, zeros count": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
        {},
    ),
    "average pool, zeros do not count": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        {},
    ),
    "global average": ([node("GlobalAveragePool", "x")], {}),
    "mean, axes gone": ([node("ReduceMean", "x", axes=[1, 3], keepdims=0)], {}),
    "length": ([node("ReduceL2", "x", axes=[1], keepdims=1)], {}),
    "concat": ([node("Concat", "x", "x", axis=1)], {}),
    "slices of Focus": (
        [node("Slice", "x", "from", "to", "axes", "steps")],
        {
            "from": np.array([1, 0]),
            "to": np.array([2**62, -1]),
            "axes": np.array([2, 3]),
            "steps": np.array([2, 3]),
        },
    ),
    "split and swapped": (
        [
            helper.make_node("Split", ["x", "parts"], ["a", "b"], axis=1),
            node("Concat", "b", "a", axis=1),
        ],
        {"parts": np.array([1, 3])},
    ),
    "gather": ([node("Gather", "x", "i", axis=1)], {"i": np.array([2, -1])}),
    "gather one": ([node("Gather", "x", "i", axis=1)], {"i": np.array(1)}),
    "pad": ([node("Pad", "x", "p")], {"p": np.array([0, 0, 1, 2, 0, 1, 0, 3])}),
    "pad with a value": (
        [node("Pad", "x", "p", "v")],
        {"p": np.array([0, 0, 1, 2, 0, 0, 0, 3]), "v": np.array(2.5, np.float32)},
    ),
    "resize nearest": (
        [
            node(
                "Resize",
                *("x", "", "by"),
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        ],
        {"by": np.array([1, 1, 2, 2], np.float32)},
    ),
    "resize linear": (
        [node("Resize", "x", "", "by", mode="linear")],
        {"by": np.array([1, 1, 2, 0.5], np.float32)},
    ),
    "reshape": ([node("Reshape", "x", "s")], {"s": np.array([1, 2, -1, 12])}),
    "flatten": ([node("Flatten", "x", axis=1)], {}),
    "transpose": ([node("Transpose", "x", perm=[0, 3, 1, 2])], {}),
    "shuffle": (
        [
            node("Reshape", "x", "five", to="a"),
            node("Transpose", "a", to="b", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "b", "four"),
        ],
        {"five": np.array([1, 2, 2, 8, 12]), "four": np.array([1, 4, 8, 12])},
    ),
    "softmax": ([node("Softmax", "x", axis=3)], {}),
    "gemm": (
        [node("Flatten", "x", to="f"), node("Gemm", "f", "w", "b", transB=1, alpha=0.5)],
        {"w": weights(5, 384), "b": weights(5)},
    ),
    "matmul": ([node("MatMul", "x", "w")], {"w": weights(12, 7)}),
    "matmul of two": (
        [node("Transpose", "x", to="t", perm=[0, 1, 3, 2]), node("MatMul", "x", "t")],
        {},
    ),
    "batch normalization": (
        [node("BatchNormalization", "x", "s", "b", "m", "v")],
        {"s": weights(4), "b": weights(4), "m": weights(4), "v": np.abs(weights(4)) + 1},
    ),
    "identity": ([node("Identity", "x", to="i"), node("Relu", "i")], {}),
}


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, tmp_path: Path) -> None:
    nodes, constants = CASES[name]
    compare(save(tmp_path, nodes, constants), tmp_path, image(*IMAGE))


@pytest.mark.parametrize("name", CASES)
def test_operator_after_a_convolution(name: str, tmp_path: Path) -> None:
    """There the channels come last already."""
    nodes, constants = CASES[name]
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    for other in nodes:
        other.input[:] = ["first" if source == "x" else source for source in other.input]
    nodes.insert(0, node("Conv", "x", "first weights", to="first"))
    network = save(tmp_path, nodes, constants | {"first weights": weights(4, 4, 1, 1)})
    compare(network, tmp_path, image(*IMAGE))


def test_an_activation_is_part_of_the_operator_unless_both_results_are_read(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "w", to="a"),
        node("Relu", "a", to="b"),
        node("Conv", "b", "w", to="features"),
        node("Relu", "features"),
    ]
    network = save(tmp_path, nodes, {"w": weights(4, 4, 1, 1)}, outputs=("features", "y"))
    compare(network, tmp_path, image(*IMAGE))
    counts = operators(tmp_path / "network.tflite")
    assert counts["CONV_2D"] == 2
    assert counts["RELU"] == 1


def test_every_output_has_its_own_tensor(tmp_path: Path) -> None:
    nodes = [node("Identity", "x", to="same"), node("Relu", "x"), node("Identity", "y", to="z")]
    network = save(tmp_path, nodes, outputs=("same", "y", "z"))
    compare(network, tmp_path, image(*IMAGE))


def test_layouts_change_only_at_the_ends(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "w", to="a"),
        node("Sigmoid", "a", to="s"),
        node("Mul", "a", "s", to="m"),
        node("Concat", "m", "a", to="c", axis=1),
        node("MaxPool", "c", to="p", kernel_shape=[2, 2]),
        node("Add", "p", "b"),
    ]
    network = save(tmp_path, nodes, {"w": weights(4, 4, 1, 1), "b": weights(8, 1, 1)})
    compare(network, tmp_path, image(*IMAGE))
    assert operators(tmp_path / "network.tflite")["TRANSPOSE"] == 2


def operators(path: Path) -> Counter[str]:
    made = interpreter.Interpreter(
        str(path),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    return Counter(entry["op_name"] for entry in made._get_ops_details())


def test_open_axes_stay_open(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "w", to="a", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Shape", "a", to="shape"),
        node("Slice", "shape", "zero", "two", to="kept"),
        node("Concat", "kept", "rest", to="target", axis=0),
        node("Reshape", "a", "target"),
    ]
    constants = {
        "w": weights(6, 4, 3, 3),
        "zero": np.array([0]),
        "two": np.array([2]),
        "rest": np.array([-1]),
    }
    network = save(tmp_path, nodes, constants, shape=("n", 4, 8, 12), result=("n", 6, 24))
    converted = convert(network, tmp_path, "fp32")
    for batch in (1, 3, 2):
        found = run("litert", converted, image(batch, 4, 8, 12))["y"]
        expected = run("onnxruntime", network, image(batch, 4, 8, 12))["y"]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_convolution_takes_any_size(tmp_path: Path) -> None:
    network = save(tmp_path, *conv(3, pads=[1, 1, 1, 1], strides=[2, 2]), shape=(1, 4, "h", "w"))
    compare(network, tmp_path, image(1, 4, 50, 34))


def test_declared_lengths_are_fixed(tmp_path: Path) -> None:
    network = save(tmp_path, [node("Relu", "x")], shape=("n", 4, "h", "w"))
    declared = TensorSpec("x", (-1, 4, 8, 12), np.dtype("float32"))
    source = Network(network.path, "onnx", (declared,), precision="fp32")
    with engines.create("e", "litert") as engine:
        engine.init()
        engine.prepare(convert(source, tmp_path, "fp32"))
        assert engine.inputs == (declared,)


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([node("Einsum", "x", equation="abcd->abdc")], "no TensorFlow Lite operators for .*Einsum"),
        ([node("Softmax", "x", axis=1)], "Softmax 'y': axis 1 of 4"),
        ([node("AveragePool", "x", kernel_shape=[3, 3], ceil_mode=1)], "ceil_mode"),
        ([node("Conv", "x", "x")], "Conv 'y': only two dimensions and constant weights"),
        ([node("Pad", "x", "p", mode="reflect")], "mode reflect"),
    ],
)
def test_what_is_not_translated_is_named(
    tmp_path: Path, nodes: list[onnx.NodeProto], told: str
) -> None:
    network = save(tmp_path, nodes, {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, shape=(4, 4, 4, 4))
    with pytest.raises(ProgramError, match=told) as caught:
        convert(network, tmp_path, "fp32")
    assert str(network.path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]


def test_other_precisions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="converts to fp32 only, not to int8"):
        convert(save(tmp_path, [node("Relu", "x")]), tmp_path, "int8")


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(RNG.bytes(1000))
    with pytest.raises(ProgramError, match=r"network\.onnx"):
        convert(Network(path, "onnx"), tmp_path, "fp32")

"""ONNX to MNN: every operator against ONNX Runtime, names, batches, and what is not supported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from engines import ProgramError
from engines.convert.mnn import convert
from engines.convert.mnn_operators import OPERATORS
from tests.engines.convert import networks
from tests.engines.convert.test_focus import save_focus

pytest.importorskip("MNN")


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


C = (1, 4, 6, 8)
#: Operator, shape of its first input, its constant inputs, its attributes.
CASES: list[tuple[str, tuple[int, ...], list[np.ndarray | None], dict[str, Any]]] = [
    ("Add", C, [numbers(1, 4, 1, 1)], {}),
    ("AveragePool", C, [], {"kernel_shape": [2, 3], "strides": [2, 1]}),
    (
        "AveragePool",
        C,
        [],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    (
        "BatchNormalization",
        C,
        [numbers(4), numbers(4), numbers(4), np.abs(numbers(4)) + 0.1],
        {"epsilon": 1e-3},
    ),
    ("Clip", C, [np.array(-0.5, np.float32), np.array(1, np.float32)], {}),
    ("Clip", C, [np.array(0, np.float32)], {}),
    ("Concat", C, [numbers(1, 2, 6, 8)], {"axis": 1}),
    ("Conv", C, [numbers(5, 4, 3, 1)], {"pads": [1, 0, 1, 0], "strides": [2, 1]}),
    ("Conv", C, [numbers(6, 4, 3, 3), numbers(6)], {"pads": [0, 1, 1, 2], "dilations": [1, 2]}),
    ("Conv", C, [numbers(4, 1, 3, 3), numbers(4)], {"pads": [1, 1, 1, 1], "group": 4}),
    ("Conv", C, [numbers(6, 2, 1, 1)], {"group": 2}),
    ("Div", C, [np.abs(numbers(8)) + 0.5], {}),
    ("Exp", C, [], {}),
    ("Expand", (1, 1, 6, 1), [whole(1, 4, 6, 8)], {}),
    ("Flatten", C, [], {}),
    ("Gather", C, [np.array(2)], {"axis": 1}),
    ("Gather", C, [whole(3, 0, -1)], {"axis": 2}),
    ("Gemm", (1, 8), [numbers(5, 8), numbers(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("GlobalAveragePool", C, [], {}),
    ("HardSigmoid", C, [], {"alpha": 0.3}),
    ("HardSwish", C, [], {}),
    ("Identity", C, [], {}),
    ("LeakyRelu", C, [], {"alpha": 0.1}),
    ("MatMul", C, [numbers(8, 5)], {}),
    ("MaxPool", C, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", C, [], {"kernel_shape": [5, 3], "pads": [2, 1, 2, 1]}),
    ("MaxPool", C, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("Mul", C, [np.array(0.25, np.float32)], {}),
    ("Neg", C, [], {}),
    ("Pad", C, [whole(0, 0, 1, 2, 0, 0, 0, 3)], {}),
    ("ReduceL2", C, [], {"axes": [1], "keepdims": 1}),
    ("ReduceMean", C, [], {"axes": [2, -1], "keepdims": 0}),
    ("ReduceSum", C, [whole(1)], {"keepdims": 1}),
    ("Relu", C, [], {}),
    ("Reshape", C, [whole(1, -1, 12)], {}),
    (
        "Resize",
        C,
        [None, np.array([1, 1, 2, 2], np.float32)],
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
    ),
    (
        "Resize",
        C,
        [None, np.array([1, 1, 0.5, 1.5], np.float32)],
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    ),
    ("Resize", C, [None, None, whole(1, 4, 9, 5)], {"mode": "linear"}),
    ("Sigmoid", C, [], {}),
    ("Slice", C, [whole(1, -5), whole(100, -1), whole(1, 3), whole(2, 1)], {}),
    ("Softmax", C, [], {"axis": 1}),
    ("Split", C, [whole(1, 3)], {"axis": 1}),
    ("Squeeze", (1, 4, 1, 8), [whole(2)], {}),
    ("Sub", C, [numbers(6, 8)], {}),
    ("Tanh", C, [], {}),
    ("Transpose", C, [], {"perm": [0, 2, 3, 1]}),
    ("Unsqueeze", C, [whole(1)], {}),
]


def test_every_operator_has_a_case() -> None:
    by_another = {"Sqrt"}  # inside ReduceL2
    assert {case[0] for case in CASES} | by_another == set(OPERATORS)


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda n: f"{CASES[n][0]}-{n}")
def test_operators(tmp_path: Path, case: int) -> None:
    """Between two others, so that both layouts are met."""
    operator, shape, arrays, attributes = CASES[case]
    constants = {f"c{n}": array for n, array in enumerate(arrays) if array is not None}
    names = [f"c{n}" if array is not None else "" for n, array in enumerate(arrays)]
    outputs = ["y", "z"] if operator == "Split" else ["y"]
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["before"], alpha=0.5),
        helper.make_node(operator, ["before", *names], outputs, **attributes),
    ]
    shapes = {"x": shape}, dict.fromkeys(outputs)
    source = networks.save(tmp_path / "n.onnx", nodes, *shapes, constants, opset=14)
    feeds = {"x": numbers(*shape)}
    expected = networks.run("onnxruntime", source, feeds)
    found = networks.run("mnn", convert(source, tmp_path, "fp32"), feeds)
    assert list(found) == outputs
    for name in outputs:
        assert found[name].shape == expected[name].shape
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_keeps_names_and_open_batch(tmp_path: Path) -> None:
    source = save_focus(tmp_path / "focus.onnx")
    made = convert(source, tmp_path, "fp32")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["focus.onnx", "network.mnn"]
    assert (made.format, made.precision) == ("mnn", "fp32")
    assert [str(spec) for spec in made.inputs] == ["image: float32[?, 3, 12, 16]"]
    feeds = {"image": numbers(3, 3, 12, 16)}
    expected = networks.run("onnxruntime", source, feeds)["y"]
    np.testing.assert_allclose(networks.run("mnn", made, feeds)["y"], expected, atol=3e-5)


def test_a_batch_that_reshapes_ask_for(tmp_path: Path) -> None:
    """The shape is computed from the input's, as PyTorch exports it."""
    constants: networks.Arrays = {"first": whole(0), "end": whole(1), "rest": whole(2, -1)}
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "first", "end"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["y"]),
    ]
    shapes = {"x": ["n", 4, 6]}, {"y": ["n", 2, 12]}
    source = networks.save(tmp_path / "n.onnx", nodes, *shapes, constants)
    found = networks.run("mnn", convert(source, tmp_path, "fp32"), {"x": numbers(3, 4, 6)})
    np.testing.assert_array_equal(found["y"], numbers(3, 4, 6).reshape(3, 2, 12))


def test_an_output_that_is_read_inside(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Exp", ["y"], ["z"]),
        helper.make_node("Identity", ["y"], ["same"]),
    ]
    shapes = {"x": C}, {"z": C, "y": C, "same": C}
    source = networks.save(tmp_path / "n.onnx", nodes, *shapes)
    feeds = {"x": numbers(*C)}
    expected = networks.run("onnxruntime", source, feeds)
    found = networks.run("mnn", convert(source, tmp_path, "fp32"), feeds)
    assert list(found) == ["z", "y", "same"]
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_an_unknown_operator_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    nodes = [helper.make_node("Det", ["x"], ["y"])]
    source = networks.save(tmp_path / "n.onnx", nodes, {"x": [1, 3, 4, 4]}, {"y": [1, 3]})
    with pytest.raises(ProgramError, match="no MNN expression for the operator Det"):
        convert(source, tmp_path, "fp32")
    assert [path.name for path in tmp_path.iterdir()] == ["n.onnx"]


def test_a_case_of_an_operator_that_is_not_supported_names_the_node(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["x", "i"], ["y"], axis=1, name="pick")]
    constants: networks.Arrays = {"i": whole(0, 1).reshape(1, 2)}
    source = networks.save(tmp_path / "n.onnx", nodes, {"x": C}, {"y": None}, constants)
    with pytest.raises(ProgramError, match="node pick: Gather: expected constant indices"):
        convert(source, tmp_path, "fp32")


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_other_precisions_are_refused(tmp_path: Path, precision: str) -> None:
    with pytest.raises(ProgramError, match=f"written in fp32, not {precision}"):
        convert(save_focus(tmp_path / "focus.onnx"), tmp_path, precision)

"""Graph passes leave what a network computes as it was, and do what they are for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper

from engines.convert import graph as onnx_graph
from engines.sim_npu.compiler import passes
from engines.sim_npu.compiler.reference import Reference, difference
from engines.tensor import TensorSpec
from tests.conftest import REPOSITORY
from tests.engines.sim_npu.compiler import drawn

EQUAL = 1e-5


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@settings(max_examples=60)
@given(drawn.models())
def test_drawn_networks_stay_equal(model: onnx.ModelProto) -> None:
    reports = passes.run(model, drawn.image())
    onnx.checker.check_model(model)
    assert [report.name for report in reports] == [change.__name__ for change in passes.PASSES]
    assert max(report.max_difference for report in reports) <= EQUAL
    found = kinds(model)
    assert not found & Counter(["Identity", "MatMul"])


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        (["conv", "batchnorm"], ["Conv"]),
        (["conv", "per_channel", "batchnorm", "per_channel"], ["Conv"]),
        (["per_channel"], None),
        (["conv", "silu"], ["Conv", "Silu"]),
        (["conv", "hard_swish_gate"], ["Conv", "HardSwish"]),
        (["conv", "hard_swish_divided"], ["Conv", "HardSwish"]),
        (["conv", "transposed"], ["Conv", "Relu"]),
        (["conv", "reshaped", "relu"], ["Conv", "Relu"]),
        (["conv", "idle", "relu"], ["Conv", "Relu"]),
        (["dense"], ["Flatten", "Gemm"]),
    ],
    ids=lambda layers: " ".join(layers or ["as it was"]),
)
def test_what_is_left(layers: list[str], left: list[str] | None) -> None:
    drawing = drawn.Drawing(3)
    for name in layers:
        getattr(drawing, name)()
    model = drawing.model()
    before = [node.op_type for node in model.graph.node]
    passes.run(model, drawn.image())
    assert [node.op_type for node in model.graph.node] == (left or before)


def test_a_convolution_that_is_read_twice_keeps_its_batch_normalisation() -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    features = drawing.last
    drawing.batchnorm()
    drawing.add("Add", drawing.last, features)
    model = drawing.model()
    passes.run(model, drawn.image())
    assert kinds(model) == {"Conv": 1, "BatchNormalization": 1, "Add": 1}


def test_a_factor_ahead_goes_into_the_weights_and_an_offset_stays() -> None:
    drawing = drawn.Drawing(0)
    drawing.add("Sub", "image", drawing.normal(1, 4, 1, 1))
    drawing.add("Div", drawing.last, np.float32(255))
    drawing.conv()
    model = drawing.model()
    assert passes.run(model, drawn.image())[-1].max_difference <= EQUAL
    assert kinds(model) == {"Sub": 1, "Conv": 1}


@pytest.mark.parametrize("reader", ["conv", "average", "max"])
@pytest.mark.parametrize("value", [0, 1])
def test_padding_goes_to_what_reads_it(reader: str, value: int) -> None:
    drawing = drawn.Drawing(0)
    drawing.add("Pad", "image", np.array([0, 0, 1, 2, 0, 0, 3, 0]), np.float32(value))
    if reader == "conv":
        drawing.conv()
    else:
        kind = "AveragePool" if reader == "average" else "MaxPool"
        drawing.add(kind, drawing.last, kernel_shape=[4, 4])
    model = drawing.model()
    assert passes.run(model, drawn.image())[-1].max_difference <= EQUAL
    assert ("Pad" in kinds(model)) == (value == 1 or reader == "max")


def test_an_average_that_does_not_count_its_own_padding_keeps_the_other() -> None:
    drawing = drawn.Drawing(0)
    drawing.add("Pad", "image", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    drawing.add("AveragePool", drawing.last, kernel_shape=[3, 3], pads=[1] * 4)
    model = drawing.model()
    assert passes.run(model, drawn.image())[-1].max_difference <= EQUAL
    assert kinds(model) == {"Pad": 1, "AveragePool": 1}


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_over_rows_and_columns_is_a_pooling(keepdims: int) -> None:
    drawing = drawn.Drawing(0)
    drawing.add("ReduceMean", "image", axes=[2, -1], keepdims=keepdims)
    model = drawing.model()
    assert passes.run(model, drawn.image())[-1].max_difference <= EQUAL
    assert kinds(model) == Counter(["GlobalAveragePool"] + ["Reshape"] * (1 - keepdims))


@pytest.mark.parametrize("index", [np.array(1), np.array([-1]), np.array([[2]])])
def test_gathering_one_index_is_a_slice(index: np.ndarray) -> None:
    drawing = drawn.Drawing(0)
    drawing.add("Gather", "image", index, axis=1)
    model = drawing.model()
    assert passes.run(model, drawn.image())[-1].max_difference <= EQUAL
    assert kinds(model) == Counter(["Slice"] + ["Reshape"] * (index.ndim != 1))


def test_quantised_weights_stay_integers() -> None:
    weight = numpy_helper.from_array(np.ones((2, 4, 1, 1), np.int8), "w")
    scale = numpy_helper.from_array(np.float32(0.5), "s")
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["real"]),
        helper.make_node("Conv", ["image", "real"], ["y"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, drawn.SHAPE)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "qdq", [image], [y], [weight, scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    passes.run(model, drawn.image())
    assert kinds(model) == {"DequantizeLinear": 1, "Conv": 1}


def test_a_pass_that_bends_the_result_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(model: onnx.ModelProto) -> None:
        weight = model.graph.initializer[0]
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, weight.name))

    monkeypatch.setattr(passes, "PASSES", (spoil,))
    drawing = drawn.Drawing(1)
    drawing.conv()
    assert passes.run(drawing.model(), drawn.image())[0].max_difference > 0.1


def test_difference_is_a_part_of_the_largest_magnitude() -> None:
    assert difference(np.array([100.0, 1.0]), np.array([100.0, 2.0])) == 0.01
    assert difference(np.array([0.5]), np.array([0.0])) == 0.5


REAL = {
    "yolox_nano/yolox_nano_opencv_zoo.onnx": (1, 3, 416, 416),
    "d2go/d2go_frcnn_stage1_fp32.onnx": (1, 3, 192, 256),
    "d2go/d2go_frcnn_stage2_fp32.onnx": (2, 112, 6, 6),
    "nanodet_m/nanodet_m_416.onnx": (1, 3, 416, 416),
    "reid/osnet_x0_25_msmt17.onnx": (1, 3, 256, 128),
}
SHIPPED = {
    "street-pico/street-pico.onnx": (1, 3, 288, 512),
    "reid-pico/reid-pico.onnx": (1, 3, 128, 64),
}


def settle(path: Path, shape: tuple[int, ...]) -> tuple[onnx.ModelProto, float]:
    """A model after all passes, and how far any of them moved its outputs."""
    model = onnx_graph.load(path)
    (image,) = onnx_graph.inputs(model.graph)
    onnx_graph.pin(model, [TensorSpec(image.name, shape, np.dtype("float32"))])
    values = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    reports = passes.run(model, {image.name: values})
    return model, max(report.max_difference for report in reports)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks(name: str) -> None:
    model, apart = settle(REPOSITORY / "models" / name, SHIPPED[name])
    assert apart <= EQUAL
    assert not kinds(model) & Counter(["Shape", "Constant"])


@pytest.mark.assets
@pytest.mark.parametrize("name", REAL)
def test_real_networks(assets: Path, name: str) -> None:
    model, apart = settle(assets / "models" / name, REAL[name])
    assert apart <= EQUAL
    found = kinds(model)
    assert not found & Counter(["Identity", "BatchNormalization", "Constant", "Pad"])
    if "yolox" in name:
        assert found["Silu"]
        assert not found & Counter(["Slice", "Mul"])


def test_reference_gives_what_is_watched() -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    inner = drawing.last
    drawing.relu()
    found = Reference(drawing.model(), [inner]).run(drawn.image())
    np.testing.assert_array_equal(found[drawing.last], np.maximum(found[inner], 0))

"""fp32 networks in fp16: every operator is lowered, and the results stay near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import ProgramError
from engines.convert.lowering import to_fp16
from pipeline.models.package import load_model
from tests.engines.subjects import expected_features, picture, small_network


def types(model: onnx.ModelProto) -> dict[str, int]:
    """The type of every tensor between the casts at the borders."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_nothing_inside_stays_in_fp32() -> None:
    model = onnx.load(load_model("street-pico").program.path)
    lowered = to_fp16(model)
    onnx.checker.check_model(lowered, full_check=True)
    scales = {node.input[2] for node in lowered.graph.node if node.op_type == "Resize"}
    kept = {name for name, kind in types(lowered).items() if kind == TensorProto.FLOAT}
    assert kept == scales, "scales are float32 by Resize's definition"
    borders = [*lowered.graph.input, *lowered.graph.output]
    assert {value.type.tensor_type.elem_type for value in borders} == {TensorProto.FLOAT}


def test_the_source_is_left_as_it_was(tmp_path: Path) -> None:
    model = onnx.load(small_network(tmp_path).path)
    before = model.SerializeToString()
    to_fp16(model)
    assert model.SerializeToString() == before


def test_fp16_gives_nearly_what_fp32_gives(tmp_path: Path) -> None:
    lowered = to_fp16(onnx.load(small_network(tmp_path).path))
    session = onnxruntime.InferenceSession(lowered.SerializeToString())
    features, positive = session.run(["features", "positive"], {"image": picture()})
    exact = expected_features(picture())
    assert 0 < np.abs(features - exact).max() < 0.02
    np.testing.assert_array_equal(positive, np.maximum(features, 0))


@pytest.mark.parametrize("name", ["street-pico", "reid-pico"])
def test_shipped_networks_in_fp16(name: str) -> None:
    package = load_model(name)
    model = onnx.load(package.program.path)
    spec = package.input
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, [abs(n) for n in spec.shape]).astype(np.float32)
    exact, found = (
        onnxruntime.InferenceSession(m.SerializeToString()).run(None, {spec.name: image})[0]
        for m in (model, to_fp16(model))
    )
    assert np.abs(found - exact).max() < 0.02 * np.abs(exact).max()


def test_constants_and_casts_inside(tmp_path: Path) -> None:
    """x → int → float, plus a constant of each kind."""
    nodes = [
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Cast", ["whole"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["row"], value_floats=[1.0, 2.0]),
        helper.make_node(
            "Constant", [], ["tensor"], value=numpy_helper.from_array(np.float32([3, 4]))
        ),
        helper.make_node("Sum", ["real", "half", "row", "tensor"], ["y"]),
    ]
    borders = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", borders[:1], borders[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    lowered = to_fp16(model)
    onnx.checker.check_model(lowered, full_check=True)
    assert TensorProto.FLOAT not in types(lowered).values()
    session = onnxruntime.InferenceSession(lowered.SerializeToString())
    found = session.run(None, {"x": np.float32([1.9, -7.2])})[0]
    np.testing.assert_array_equal(found, [5.5, -0.5])


def test_a_quantised_network_is_refused() -> None:
    node = helper.make_node("QuantizeLinear", ["x", "scale"], ["y"], name="q")
    scale = numpy_helper.from_array(np.float32(1), "scale")
    borders = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("y", TensorProto.UINT8, [2]),
    ]
    model = helper.make_model(helper.make_graph([node], "g", borders[:1], borders[1:], [scale]))
    with pytest.raises(ProgramError, match="QuantizeLinear q: a quantised network"):
        to_fp16(model)

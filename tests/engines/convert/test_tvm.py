"""ONNX to machine code by TVM: open and declared lengths, schedules that change no result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import Network, ProgramError, TensorSpec
from tests.engines.subjects import picture, small_network

pytest.importorskip("tvm")

from engines.convert.tvm import convert


def run(backend: str, network: Network, image: np.ndarray) -> dict[str, np.ndarray]:
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor(engine.inputs[0].name, image)
        engine.forward()
        return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}


def save_blocks(folder: Path) -> Network:
    """Every kind of loops the schedule knows: convolutions of several widths, pools, a product."""
    rng = np.random.default_rng(0)
    weights = {
        "w16": rng.normal(size=(16, 3, 3, 3)),
        "depthwise": rng.normal(size=(16, 1, 3, 3)),
        "w29": rng.normal(size=(29, 16, 1, 1)),
        "w40": rng.normal(size=(40, 29, 3, 3)) / 9,
        "dense": rng.normal(size=(40, 10)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w16"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "depthwise"], ["c"], pads=[1, 1, 1, 1], group=16),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Conv", ["d", "w29"], ["e"]),
        helper.make_node("MaxPool", ["e"], ["f"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["f", "w40"], ["g"]),
        helper.make_node("GlobalAveragePool", ["g"], ["h"]),
        helper.make_node("Flatten", ["h"], ["i"]),
        helper.make_node("MatMul", ["i", "dense"], ["j"]),
        helper.make_node("Softmax", ["j"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 26, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    path = folder / "blocks.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return Network(path, "onnx", precision="fp32")


def test_schedules_change_no_result(tmp_path: Path) -> None:
    network = save_blocks(tmp_path)
    compiled = convert(network, tmp_path, "fp32")
    for batch in (1, 3):
        image = np.random.default_rng(batch).normal(size=(batch, 3, 26, 20)).astype(np.float32)
        found, expected = run("tvm", compiled, image), run("onnxruntime", network, image)
        np.testing.assert_allclose(found["y"], expected["y"], atol=1e-5)


def test_declared_lengths_are_compiled_in(tmp_path: Path) -> None:
    source = small_network(tmp_path, batch=-1, height=-1)
    declared = TensorSpec("image", (-1, 3, 8, 10), np.dtype("float32"), "nchw")
    narrowed = Network(source.path, "onnx", (declared,), precision="fp32")
    with engines.create("e", "tvm") as engine:
        engine.init()
        engine.prepare(convert(narrowed, tmp_path, "fp32"))
        assert engine.inputs == (declared,)
        engine.set_tensor("image", picture(batch=2))
        engine.forward()
        assert engine.get_tensor("features").shape == (2, 4, 8, 10)


def test_other_precisions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="tvm compiles fp32 networks only, not fp16"):
        convert(small_network(tmp_path), tmp_path, "fp16")


def test_an_operator_that_tvm_lacks_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"])],
        "odd",
        [value("x", TensorProto.FLOAT, [3, 3])],
        [value("y", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    with pytest.raises(ProgramError, match=r"odd\.onnx: tvm cannot compile it: .*Det"):
        convert(Network(path, "onnx"), tmp_path, "fp32")
    assert [found.name for found in tmp_path.iterdir()] == ["odd.onnx"]

"""Small ONNX networks, written node by node."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from engines import Kernel, TensorSpec
from pipeline.kernels.onnx_graph import OnnxGraph
from tests.kernels.running import run

X = TensorSpec("x", (-1, 3), np.dtype("float32"))
Y = TensorSpec("y", (-1, 2), np.dtype("float32"))


def content() -> bytes:
    graph = OnnxGraph("sums")
    turned = graph.node("Add", graph.part("x", 1, 1, 3), [0.5, 1])
    graph.node("Mul", turned, 2.0, output="y")
    return graph.finish((X,), (Y,))


def test_a_network_runs_as_it_was_written() -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    found = run("onnxruntime", Kernel("sums", {}, (X,), (Y,), None, content), {"x": x})
    np.testing.assert_array_equal(found["y"], [[5, 8], [11, 14]])


def test_what_is_written_can_be_read_by_older_readers_too() -> None:
    model = onnx.load_from_string(content())
    assert [entry.version for entry in model.opset_import] == [17]
    assert model.ir_version == 8
    assert {tensor.data_type for tensor in model.graph.initializer} == {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }


def test_a_wrong_graph_is_not_given_out() -> None:
    graph = OnnxGraph("wrong")
    graph.node("Add", "x", "nobody", output="y")
    with pytest.raises(onnx.checker.ValidationError, match="nobody"):
        graph.finish((X,), (Y,))

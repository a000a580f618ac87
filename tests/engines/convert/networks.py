"""Small ONNX networks written down node by node, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import engines
from engines import Network

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, Sequence[int | str] | None]


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: Shapes,
    outputs: Shapes,
    constants: Arrays | None = None,
    opset: int = 13,
) -> Network:
    """The nodes as an ONNX network; shapes that are None are inferred."""

    def values(shapes: Shapes) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]

    weights = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "small", values(inputs), values(outputs), weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), path)
    return Network(path, "onnx", precision="fp32")


def run(backend: str, network: Network, feeds: Arrays) -> Arrays:
    """All outputs of a network on a backend."""
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(network)
        for name, array in feeds.items():
            engine.set_tensor(name, array)
        engine.forward()
        return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}

"""Dense layers written as a product and a sum."""

from __future__ import annotations

from typing import Any

from engines.convert import graph as onnx_graph
from engines.sim_npu.compiler.passes.links import Links


def fuse_gemm(model: Any) -> None:
    """``MatMul`` of a (n, k) tensor with constant weights, and an ``Add`` after it, as ``Gemm``."""
    graph = model.graph
    known, links, shapes = onnx_graph.constants(graph), Links.of(graph), onnx_graph.shapes(graph)
    for node in [node for node in graph.node if node.op_type == "MatMul"]:
        weight = known.get(node.input[1])
        if weight is None or weight.ndim != 2 or len(shapes.get(node.input[0], ())) != 2:
            continue
        node.op_type = "Gemm"
        after = links.sole_reader(node.output[0])
        if after is None or after.op_type != "Add":
            continue
        bias = next(name for name in after.input if name != node.output[0])
        if bias in known and known[bias].shape in {(weight.shape[1],), (1, weight.shape[1])}:
            node.input.append(bias)
            node.output[0] = after.output[0]
            graph.node.remove(after)

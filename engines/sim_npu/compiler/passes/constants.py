"""Constant folding."""

from __future__ import annotations

from typing import Any

from engines.convert import graph as onnx_graph

#: Folding these would turn the integers of a quantised network back into real numbers.
_QUANTISED = ("QuantizeLinear", "DequantizeLinear")


def fold_constants(model: Any) -> None:
    """Computes what follows from constants and known shapes, and stores constants as weights."""
    from onnx import numpy_helper

    graph = model.graph
    known = onnx_graph.constants(graph)
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        name = node.output[0]
        graph.initializer.append(numpy_helper.from_array(known[name], name))
        graph.node.remove(node)
    onnx_graph.settle(model, keep=_QUANTISED)
    onnx_graph.drop_unread(graph)

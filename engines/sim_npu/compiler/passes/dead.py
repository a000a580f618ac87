"""Nodes that do nothing, or that nothing reads."""

from __future__ import annotations

from typing import Any

from engines.convert import graph as onnx_graph
from engines.sim_npu.compiler.passes.links import bypass

#: What does nothing when a trained network runs.
_IDLE = ("Identity", "Dropout")


def drop_dead(model: Any) -> None:
    """Takes out ``Identity``, ``Dropout`` and whatever no output depends on."""
    graph = model.graph
    for node in [node for node in graph.node if node.op_type in _IDLE]:
        bypass(graph, node)
    onnx_graph.drop_unread(graph)

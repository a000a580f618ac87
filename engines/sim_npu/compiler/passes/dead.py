"""Nodes that do nothing, or that nothing reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.sim_npu.compiler.passes.links import bypass

#: What does nothing when a trained network runs.
_IDLE = ("Identity", "Dropout")


def drop_dead(model: Any) -> None:
    """Takes out ``Identity``, ``Dropout``, ``Pad`` by nothing, and what no output depends on."""
    graph = model.graph
    known = onnx_graph.constants(graph)
    for node in [node for node in graph.node if node.op_type in _IDLE or _pads_none(node, known)]:
        bypass(graph, node)
    onnx_graph.drop_unread(graph)


def _pads_none(node: Any, known: Constants) -> bool:
    """Whether a ``Pad``, of any opset, adds nothing."""
    if node.op_type != "Pad":
        return False
    pads = known.get(node.input[1]) if len(node.input) > 1 else None
    pads = onnx_graph.attributes(node).get("pads") if pads is None else pads
    return pads is not None and not np.any(pads)

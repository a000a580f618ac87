"""Operators that another, which the device has, can stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants

#: First opset whose ``Slice`` takes its places as inputs.
_SLICES = 10
Shapes = dict[str, tuple[int, ...]]


def replace_general(model: Any) -> None:
    """A mean over rows and columns is a pooling; what one constant index gathers is a slice."""
    graph = model.graph
    known, shapes = onnx_graph.constants(graph), onnx_graph.shapes(graph)
    slices = onnx_graph.opset(model) >= _SLICES
    nodes = list[Any]()
    for node in graph.node:
        if node.op_type == "ReduceMean" and _over_picture(node, known, shapes):
            nodes += _with_shape(graph, node, shapes, "GlobalAveragePool", [])
        elif slices and node.op_type == "Gather" and _one_index(node, known, shapes):
            nodes += _with_shape(graph, node, shapes, "Slice", _window(node, known, shapes))
        else:
            nodes.append(type(node).FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(nodes)
    onnx_graph.drop_unread(graph)


def _over_picture(node: Any, known: Constants, shapes: Shapes) -> bool:
    given, shape = onnx_graph.attributes(node), shapes.get(node.input[0], ())
    axes = known.get(node.input[1]) if len(node.input) > 1 else given.get("axes")
    if axes is None or len(shape) != 4 or -1 in shape:
        return False
    return sorted(int(axis) % 4 for axis in axes) == [2, 3]


def _one_index(node: Any, known: Constants, shapes: Shapes) -> bool:
    index, shape = known.get(node.input[1]), shapes.get(node.input[0], (-1,))
    return index is not None and index.size == 1 and -1 not in shape


def _window(node: Any, known: Constants, shapes: Shapes) -> list[int]:
    """Start, stop and axis of the slice that a ``Gather`` of one index is."""
    shape = shapes[node.input[0]]
    axis = onnx_graph.attributes(node).get("axis", 0) % len(shape)
    start = int(known[node.input[1]].item()) % shape[axis]
    return [start, start + 1, axis]


def _with_shape(
    graph: Any, node: Any, shapes: Shapes, kind: str, constants: list[int]
) -> list[Any]:
    """A node of another operator, and a ``Reshape`` to what was made before."""
    from onnx import helper, numpy_helper

    name = node.output[0]
    inputs = [node.input[0]]
    for place, value in enumerate(constants):
        inputs.append(f"{name}/{place}")
        graph.initializer.append(numpy_helper.from_array(np.array([value]), inputs[-1]))
    graph.initializer.append(numpy_helper.from_array(np.array(shapes[name]), f"{name}/shape"))
    return [
        helper.make_node(kind, inputs, [f"{name}/kept"], name=node.name),
        helper.make_node("Reshape", [f"{name}/kept", f"{name}/shape"], [name]),
    ]

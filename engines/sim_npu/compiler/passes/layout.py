"""Fewer moves of data: transpositions meet and cancel, views of views become one."""

from __future__ import annotations

from typing import Any

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.sim_npu.compiler.passes.links import Links, bypass

#: Operators of one tensor that treat every element alike, and so do not care where it lies.
_ELEMENTWISE = frozenset(
    ("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Silu", "HardSwish", "Tanh", "Neg")
)


def settle_layout(model: Any) -> None:
    """Moves transpositions behind element-wise operators, and merges them where they meet.

    A ``Reshape`` of a ``Reshape`` becomes one as well, and what changes nothing goes.
    """
    while _sink(model.graph) or _merge(model.graph):
        pass
    _drop_idle(model)
    onnx_graph.drop_unread(model.graph)


def _sink(graph: Any) -> bool:
    """Swaps one ``Transpose`` with the element-wise operator that alone reads it."""
    links = Links.of(graph)
    for node in graph.node:
        after = links.sole_reader(node.output[0]) if node.op_type == "Transpose" else None
        if after is None or after.op_type not in _ELEMENTWISE:
            continue
        between, last = node.output[0], after.output[0]
        after.input[0], after.output[0] = node.input[0], between
        node.input[0], node.output[0] = between, last
        first = type(node)()
        first.CopyFrom(node)
        node.CopyFrom(after)
        after.CopyFrom(first)
        _forget(graph, between)
        return True
    return False


def _merge(graph: Any) -> bool:
    """Makes one of two transpositions, or of two reshapes, that follow each other."""
    known, links = onnx_graph.constants(graph), Links.of(graph)
    for node in graph.node:
        before = links.makers.get(node.input[0]) if node.input else None
        if before is None or before.op_type != node.op_type:
            continue
        if node.op_type == "Transpose":
            first, second = _order(before), _order(node)
            if first and second:
                _set_order(node, [first[axis] for axis in second])
                node.input[0] = before.input[0]
                return True
        elif node.op_type == "Reshape" and _is_absolute(node, known):
            node.input[0] = before.input[0]
            return True
    return False


def _drop_idle(model: Any) -> None:
    """Takes out transpositions and reshapes that leave their tensor as it is."""
    graph = model.graph
    shapes = onnx_graph.shapes(graph)
    for node in [node for node in graph.node if node.op_type in ("Transpose", "Reshape")]:
        order, shape = _order(node), shapes.get(node.input[0], (-1,))
        viewed = node.op_type == "Reshape" and -1 not in shape
        if (viewed and shape == shapes.get(node.output[0])) or (order and order == sorted(order)):
            bypass(graph, node)


def _order(node: Any) -> list[int]:
    """The axes of a ``Transpose`` that says them."""
    return list(onnx_graph.attributes(node).get("perm", []))


def _set_order(node: Any, order: list[int]) -> None:
    from onnx import helper

    del node.attribute[:]
    node.attribute.append(helper.make_attribute("perm", order))


def _is_absolute(node: Any, known: Constants) -> bool:
    """Whether a ``Reshape`` says all lengths without reference to its input's."""
    shape = known.get(node.input[1])
    return shape is not None and not (shape == 0).any()


def _forget(graph: Any, name: str) -> None:
    """Drops the shape a tensor had before it came to hold something else."""
    for value in [value for value in graph.value_info if value.name == name]:
        graph.value_info.remove(value)

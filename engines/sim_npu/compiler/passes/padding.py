"""Padding as part of the operator that reads it."""

from __future__ import annotations

from typing import Any

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.sim_npu.compiler.passes.links import Links


def fold_padding(model: Any) -> None:
    """Gives rows and columns of zeros to the ``Conv`` or ``AveragePool`` that alone reads them."""
    from onnx import helper

    graph = model.graph
    known, links = onnx_graph.constants(graph), Links.of(graph)
    for node in [node for node in graph.node if node.op_type == "Pad"]:
        around, after = _zeros_around(node, known), links.sole_reader(node.output[0])
        settings = _with(around, after) if around and after is not None else None
        if settings is None or after is None or after.input[0] != node.output[0]:
            continue
        for entry in [entry for entry in after.attribute if entry.name in settings]:
            after.attribute.remove(entry)
        after.attribute.extend(helper.make_attribute(*setting) for setting in settings.items())
        after.input[0] = node.input[0]
        graph.node.remove(node)
    onnx_graph.drop_unread(graph)


def _with(around: list[int], node: Any) -> dict[str, Any] | None:
    """The attributes with which a node pads by itself; None where it cannot."""
    given = onnx_graph.attributes(node)
    pads = given.get("pads", [0] * 4)
    both = [a + b for a, b in zip(pads, around, strict=True)]
    if given.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    if node.op_type == "Conv":
        return {"pads": both}
    counts = given.get("count_include_pad") or not any(pads)
    if node.op_type != "AveragePool" or given.get("ceil_mode") or not counts:
        return None
    inside = all(pad < size for pad, size in zip(both, given["kernel_shape"] * 2, strict=True))
    return {"pads": both, "count_include_pad": 1} if inside else None


def _zeros_around(node: Any, known: Constants) -> list[int] | None:
    """Rows and columns of zeros a ``Pad`` of any opset adds: top, left, bottom, right."""
    given = onnx_graph.attributes(node)
    if given.get("mode", "constant") != "constant" or any(
        n not in known for n in node.input[1:] if n
    ):
        return None
    pads = list(known[node.input[1]]) if len(node.input) > 1 else given.get("pads", [])
    values = [known[name] for name in node.input[2:3] if name]
    if len(pads) != 8 or len(node.input) > 3 or any(value.any() for value in values):
        return None
    plain = given.get("value", 0) == 0 and not any((*pads[:2], *pads[4:6])) and min(pads) >= 0
    return [int(pads[place]) for place in (2, 3, 6, 7)] if plain else None

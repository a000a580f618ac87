"""Factors ahead of a convolution, such as 1/255 on an image, folded into its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.convert import graph as onnx_graph
from engines.sim_npu.compiler.passes.affine import per_channel
from engines.sim_npu.compiler.passes.links import Links


def fold_scale(model: Any) -> None:
    """Folds constant ``Mul`` and ``Div`` into the ungrouped ``Conv`` that alone reads them.

    An offset ahead of a convolution stays: the zeros around the image do not have it.
    """
    from onnx import numpy_helper

    graph = model.graph
    known, links = onnx_graph.constants(graph), Links.of(graph)
    for node in [node for node in graph.node if node.op_type in ("Mul", "Div")]:
        conv = links.sole_reader(node.output[0])
        if conv is None or conv.op_type != "Conv" or conv.input[1] not in known:
            continue
        weight, ahead = known[conv.input[1]], list(node.input)
        place = next((n for n, name in enumerate(ahead) if name in known), None)
        if place is None or (node.op_type == "Div" and place == 0):
            continue
        if onnx_graph.attributes(conv).get("group", 1) != 1 or conv.input[0] != node.output[0]:
            continue
        factor = per_channel(known[ahead[place]], weight.shape[1], image=True)
        if factor is None or weight.ndim != 4:
            continue
        factor = factor if node.op_type == "Mul" else 1 / factor
        scaled = weight * factor.reshape(1, -1, *[1] * (weight.ndim - 2))
        name = f"{conv.output[0]}/scaled"
        graph.initializer.append(numpy_helper.from_array(scaled.astype(np.float32), name))
        conv.input[0], conv.input[1] = ahead[1 - place], name
        graph.node.remove(node)
    onnx_graph.drop_unread(graph)

"""Networks that come quantised, as QDQ: their scales and integers are taken as they are.

``QuantizeLinear`` and ``DequantizeLinear`` around an operator say the grids of its tensors; a
``DequantizeLinear`` of stored integers is a weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.errors import ProgramError
from engines.sim_npu.artefact import Tensor
from engines.sim_npu.compiler.passes.links import bypass

#: What is taken off a zero point to bring it to int8.
_OFFSETS = {"uint8": 128, "int8": 0}


@dataclass(frozen=True, slots=True)
class Given:
    """What a quantised network says of its numbers.

    Attributes:
        tensors: grids of activations, in int8, by tensor.
        weight_scales: float32 of each output channel, by weight.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    weight_scales: dict[str, NDArray[Any]] = field(default_factory=dict)


def is_quantised(model: Any) -> bool:
    """Whether a model holds ``QuantizeLinear`` or ``DequantizeLinear``."""
    return any(node.op_type.endswith("uantizeLinear") for node in model.graph.node)


def strip(model: Any) -> Given:
    """Turns a QDQ model, in place, into the same in float32, and gives what it said.

    Raises:
        ProgramError: a scale is computed at run time, or differs along an activation, or a type
            has other than 8 bits.
    """
    graph, given = model.graph, Given()
    known, shapes = onnx_graph.constants(graph), onnx_graph.shapes(graph)
    for node in [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in known]:
        _restore(graph, node, known, given)
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        for node in [node for node in graph.node if node.op_type == kind]:
            source, scale, zero_point = _grid(node, known)
            tensor = Tensor(shapes.get(source, ()), scale, zero_point)
            there = {source, node.output[0]}
            if not bypass(graph, node):
                raise ProgramError(f"{kind} {node.name}: it stands between an input and an output")
            left = {name for maker in graph.node for name in (*maker.input, *maker.output)}
            given.tensors.update(dict.fromkeys(there & left, tensor))
    onnx_graph.drop_unread(graph)
    onnx_graph.pin(model, ())
    return given


def _restore(graph: Any, node: Any, known: Constants, given: Given) -> None:
    """Stores a weight or bias in float32."""
    from onnx import numpy_helper

    stored, scale = known[node.input[0]], known[node.input[1]].astype(np.float32)
    zero = known[node.input[2]] if len(node.input) > 2 else np.zeros(1, stored.dtype)
    if zero.any():
        raise ProgramError(f"{node.input[0]}: weights have zero point {zero.max()}, expected 0")
    axis = onnx_graph.attributes(node).get("axis", 1) % max(stored.ndim, 1)
    across = scale.reshape([-1 if n == axis else 1 for n in range(stored.ndim)])
    name = node.output[0]
    graph.initializer.append(numpy_helper.from_array(stored.astype(np.float32) * across, name))
    if stored.dtype == np.int8:
        given.weight_scales[name] = scale
    graph.node.remove(node)


def _grid(node: Any, known: Constants) -> tuple[str, float, int]:
    """What a node quantises, with scale and zero point in int8."""
    if any(name not in known for name in node.input[1:]):
        raise ProgramError(f"{node.op_type} {node.name}: its scale is computed at run time")
    scale = known[node.input[1]]
    zero = known[node.input[2]] if len(node.input) > 2 else np.zeros((), np.uint8)
    if scale.size != 1 or zero.dtype.name not in _OFFSETS:
        raise ProgramError(
            f"{node.op_type} {node.name}: expected one scale, int8 or uint8, got {scale.size} "
            f"scales, {zero.dtype}"
        )
    return node.input[0], float(scale.item()), int(zero.item()) - _OFFSETS[zero.dtype.name]

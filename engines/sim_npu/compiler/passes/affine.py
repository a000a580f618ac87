"""Batch normalisation, and other factors and offsets per channel, folded into what they follow.

A convolution or dense layer ``y = W x + b`` followed by ``s y + t`` per output channel is
``(s W) x + (s b + t)``. For batch normalisation ``s = gamma / sqrt(var + epsilon)`` and
``t = beta - s mean`` (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018, equation 14).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.sim_npu.compiler.passes.links import Links

Vector = NDArray[np.float64]

#: Batch normalisation's, where it does not say.
_EPSILON = 1e-5
#: What is folded into, and the axes of its weights.
_AXES = {"Conv": 4, "Gemm": 2}


def fold_affine(model: Any) -> None:
    """Folds ``BatchNormalization`` and constant ``Mul, Div, Add, Sub`` into ``Conv`` and ``Gemm``.

    Only where nothing else reads the tensor between, and the constant has one number, or one per
    channel.
    """
    graph = model.graph
    known, links = onnx_graph.constants(graph), Links.of(graph)
    for node in [node for node in graph.node if node.op_type in _AXES]:
        weight = known.get(node.input[1])
        if weight is None or weight.ndim != _AXES[node.op_type]:
            continue
        if len(node.input) > 2 and node.input[2] not in known:
            continue
        axis = _output_axis(node)
        scale, shift = np.ones(weight.shape[axis]), np.zeros(weight.shape[axis])
        after, folded = links.sole_reader(node.output[0]), False
        image = node.op_type == "Conv"
        while after is not None and (
            step := affine(after, node.output[0], known, len(scale), image)
        ):
            scale, shift = scale * step[0], shift * step[0] + step[1]
            node.output[0], folded = after.output[0], True
            graph.node.remove(after)
            after = links.sole_reader(node.output[0])
        if folded:
            _rewrite(graph, node, known, axis, scale, shift)
    onnx_graph.drop_unread(graph)


def _output_axis(node: Any) -> int:
    """The axis of a weight along which the output channels lie."""
    return 0 if node.op_type == "Conv" or onnx_graph.attributes(node).get("transB") else 1


def affine(
    node: Any, source: str, known: Constants, channels: int, image: bool
) -> tuple[Vector, Vector] | None:
    """Scale and shift per channel that a node applies to a tensor; None where it does no such.

    Args:
        node: of any operator.
        source: the tensor it reads.
        known: constants of the graph.
        channels: of the tensor.
        image: whether the tensor is (n, channels, rows, columns), and not (n, channels).
    """
    if node.op_type == "BatchNormalization" and len(node.output) == 1:
        if any(name not in known for name in node.input[1:]):
            return None
        gamma, beta, mean, variance = (known[name].astype(np.float64) for name in node.input[1:])
        epsilon = onnx_graph.attributes(node).get("epsilon", _EPSILON)
        scale = gamma / np.sqrt(variance + epsilon)
        return scale, beta - scale * mean
    if node.op_type not in ("Mul", "Div", "Add", "Sub"):
        return None
    first = node.input[0] == source
    other = known.get(node.input[1] if first else node.input[0])
    values = None if other is None else per_channel(other, channels, image)
    if values is None or (node.op_type == "Div" and not first):
        return None
    one, none = np.ones(channels), np.zeros(channels)
    match node.op_type:
        case "Mul":
            return values, none
        case "Div":
            return 1 / values, none
        case "Add":
            return one, values
    return (one, -values) if first else (-one, values)


def per_channel(constant: NDArray[Any], channels: int, image: bool) -> Vector | None:
    """A constant as one number a channel; None where it is none, or has more axes than the tensor.

    Args:
        constant: as an operator broadcasts it.
        channels: of the tensor it is broadcast to.
        image: whether that tensor is (n, channels, rows, columns), and not (n, channels).
    """
    values = constant.astype(np.float64)
    if values.ndim > (4 if image else 2):
        return None
    if values.size == 1:
        return np.full(channels, values.item())
    shape = (channels, 1, 1) if image else (channels,)
    fits = values.size == channels and values.shape[-len(shape) :] == shape
    return values.reshape(channels) if fits else None


def _rewrite(
    graph: Any, node: Any, known: Constants, axis: int, scale: Vector, shift: Vector
) -> None:
    """Gives a node weights and biases of its own."""
    from onnx import numpy_helper

    weight = known[node.input[1]]
    across = scale.reshape([-1 if n == axis else 1 for n in range(weight.ndim)])
    bias = known[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(scale))
    given = onnx_graph.attributes(node)
    alpha, beta = given.get("alpha", 1.0), given.get("beta", 1.0)
    if node.op_type == "Gemm":
        across, bias = across * alpha, bias * beta
        for entry in [entry for entry in node.attribute if entry.name in ("alpha", "beta")]:
            node.attribute.remove(entry)
    arrays = {"weight": weight * across, "bias": np.broadcast_to(bias * scale + shift, scale.shape)}
    names = [f"{node.output[0]}/{part}" for part in arrays]
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array, weight.dtype), name)
        for name, array in zip(names, arrays.values(), strict=True)
    )
    node.input[:] = [node.input[0], *names]

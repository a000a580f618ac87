"""Dense layers and 1x1 convolutions as two layers of lower rank.

A matrix W of m x n is, by its singular values, best approached with rank r by ``U_r S_r V_r^T``
(Eckart and Young, "The approximation of one matrix by another of lower rank", 1936). Two layers,
``sqrt(S_r) V_r^T`` and then ``U_r sqrt(S_r)``, compute that in r (m + n) multiply-adds instead of
m n (Denton et al., "Exploiting linear structure within convolutional networks for efficient
evaluation", NeurIPS 2014): fewer only where r < m n / (m + n).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.compress.layers import Compressed, Layer, compressed, copied, layers_of, require_shares
from engines.errors import OptionError
from engines.tensor import TensorSpec


def factorise(
    model: Any,
    inputs: Iterable[TensorSpec],
    *,
    energy: float | None = None,
    ratio: float | None = None,
) -> Compressed:
    """Splits every layer that gets cheaper by it.

    Args:
        model: an `onnx.ModelProto`; it is not changed.
        inputs: with the lengths to count with.
        energy: share of the sum of squared singular values each layer keeps, 0..1.
        ratio: or share of its multiply-adds each layer loses, 0..1.

    Raises:
        OptionError: not exactly one of both is given, or it is out of range.
        ProgramError: there is nothing to split in such a network.
    """
    if (energy is None) == (ratio is None):
        raise OptionError("expected either an energy to keep or a ratio to save")
    require_shares(energy=energy, ratio=ratio)
    inputs = tuple(inputs)
    model, before = copied(model, inputs)
    kept, left = {}, {}
    for layer in layers_of(model.graph):
        halves = _unfit(layer) or _halves(layer, energy, ratio)
        if isinstance(halves, str):
            left[layer.name] = halves
        else:
            kept[layer.output] = (_split(model.graph, layer, halves), halves.energy)
    return compressed(before, model, inputs, kept, left)


@dataclass(frozen=True, slots=True)
class _Halves:
    """Two matrices whose product comes near a layer's.

    Attributes:
        outer: (outputs, rank).
        inner: (rank, inputs).
        energy: share of the squared singular values that the product has.
    """

    outer: NDArray[np.float64]
    inner: NDArray[np.float64]
    energy: float


def _unfit(layer: Layer) -> str:
    """Why a layer is no matrix; empty where it is one."""
    if not np.isfinite(layer.weight).all():
        return "it has weights that are no numbers"
    if layer.groups > 1:
        return f"a convolution of {layer.groups} groups"
    kernel = layer.weight.shape[2:]
    return f"a kernel of {'x'.join(map(str, kernel))}" if prod(kernel) > 1 else ""


def _halves(layer: Layer, energy: float | None, ratio: float | None) -> _Halves | str:
    """The two halves of a layer; why there are none where that is so."""
    u, s, vt = np.linalg.svd(_matrix(layer), full_matrices=False)
    energies = np.cumsum(s**2) / ((s**2).sum() or 1.0)
    worth = len(u) * vt.shape[1] / (len(u) + vt.shape[1])
    if ratio is not None:
        rank = int((1 - ratio) * worth)
    else:
        rank = min(int(np.searchsorted(energies, energy or 0.0)) + 1, len(s))
    if rank < 1 or worth <= 1:
        return "it is too small to be split"
    if rank >= worth:
        return f"it needs rank {rank} of {len(s)}, which saves below {worth:.3g}"
    roots = np.sqrt(s[:rank])
    return _Halves(u[:, :rank] * roots, roots[:, None] * vt[:rank], float(energies[rank - 1]))


def _matrix(layer: Layer) -> NDArray[np.float64]:
    """Its weights, (outputs, inputs)."""
    weight = np.moveaxis(layer.weight, layer.out_axis, 0).astype(np.float64)
    return weight.reshape(weight.shape[:2])


def _split(graph: Any, layer: Layer, halves: _Halves) -> tuple[str, str]:
    """Puts the inner half ahead of a layer, which becomes the outer one; gives their outputs.

    Whatever the layer does besides multiplying stays where it was: strides and pads move its input
    and go ahead, the bias is added to its output.
    """
    from onnx import helper

    node, between = layer.node, f"{layer.output}/inner"
    ahead = helper.make_node(node.op_type, [node.input[0], ""], [between], f"{layer.name}/inner")
    if node.op_type == "Conv":
        moved = [entry for entry in node.attribute if entry.name in ("strides", "pads", "auto_pad")]
        kernel = helper.make_attribute("kernel_shape", layer.weight.shape[2:])
        ahead.attribute.extend([*moved, kernel])
        for entry in moved:
            node.attribute.remove(entry)
    elif node.op_type == "Gemm":
        ahead.attribute.append(helper.make_attribute("transB", layer.in_axis))
    ahead.input[1] = _store(graph, layer, halves.inner, f"{layer.output}/inner/weight")
    node.input[1] = _store(graph, layer, halves.outer, f"{layer.output}/outer/weight")
    node.input[0] = between
    graph.node.insert(list(graph.node).index(node), ahead)
    return between, layer.output


def _store(graph: Any, layer: Layer, matrix: NDArray[np.float64], name: str) -> str:
    """Keeps a matrix (outputs, inputs) in the form and dtype of the layer's weights."""
    from onnx import numpy_helper

    array = matrix if layer.out_axis == 0 else matrix.T
    array = array.reshape(*array.shape, *layer.weight.shape[2:]).astype(layer.weight.dtype)
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return name

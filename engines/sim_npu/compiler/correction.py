"""Biases that make up for what rounding adds to a sum on average.

Rounded weights and activations change the mean of a layer's outputs: weights most, where the inputs
have a mean of their own, and activations where most values lie close to zero, within one step. The
bias takes it back (Nagel et al., "Data-Free Quantization through Weight Equalization and Bias
Correction", 2019, section 4.2; here with means of recorded inputs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.program import Tensors
from engines.sim_npu.artefact import Layer
from engines.sim_npu.compiler import grid
from engines.sim_npu.compiler.quantise import Quantised
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.operators import MAX_SUM

Vector = NDArray[np.float64]


def correct_biases(
    quantised: Quantised, inputs: Sequence[Tensors], activations: bool = True
) -> Quantised:
    """The same network with corrected biases; a bias that would let a sum overflow stays.

    Args:
        quantised: a network that was calibrated; one that came quantised is to be left as it is.
        inputs: recorded; a few will do.
        activations: whether what the rounding of activations adds counts, beside that of weights.
    """
    graph, layers = quantised.model.graph, dict(quantised.layers)
    known = onnx_graph.constants(graph)
    weighted = [node for node in graph.node if _is_weighted(node, quantised)]
    means = _means(quantised, {layers[node.output[0]][0].inputs[0] for node in weighted}, inputs)
    for node in weighted:
        (layer,) = layers[node.output[0]]
        exact, rounded = means[layer.inputs[0]]
        rounded = rounded if activations else exact
        stored = layer.constants["weights"] * quantised.weight_scales[layer.output]
        extra = _response(layer, stored, rounded) - _response(layer, _weights(node, known), exact)
        layers[node.output[0]] = [_with_bias(layer, quantised, extra)]
    return replace(quantised, layers=layers)


def _is_weighted(node: Any, quantised: Quantised) -> bool:
    return node.op_type in ("Conv", "Gemm") and bool(quantised.layers.get(node.output[0]))


def _means(
    quantised: Quantised, names: set[str], inputs: Iterable[Tensors]
) -> dict[str, tuple[Vector, Vector]]:
    """Mean of each channel, before and after rounding to the tensor's grid."""
    reference, found = Reference(quantised.model, sorted(names)), dict[str, list[NDArray[Any]]]()
    for feeds in inputs:
        values = dict(feeds) | reference.run(feeds)
        for name in names:
            found.setdefault(name, []).append(_both_means(values[name], quantised, name))
    return {name: tuple(np.mean(parts, axis=0)) for name, parts in found.items()}


def _both_means(values: NDArray[Any], quantised: Quantised, name: str) -> NDArray[Any]:
    """[2, C]: of the values, and of what is stored of them."""
    tensor, axes = quantised.tensors[name], (0, *range(2, values.ndim))
    stored = values / np.float32(tensor.scale)
    np.rint(stored, out=stored)
    np.clip(stored, *(end - tensor.zero_point for end in (grid.LOWEST, grid.HIGHEST)), out=stored)
    both = [values.mean(axes, np.float64), stored.mean(axes, np.float64) * tensor.scale]
    return np.stack(both)


def _weights(node: Any, known: Constants) -> NDArray[Any]:
    """Of a node in float32, output channels first."""
    weight, given = known[node.input[1]], onnx_graph.attributes(node)
    turned = node.op_type == "Gemm" and not given.get("transB")
    return np.asarray((weight.T if turned else weight) * given.get("alpha", 1.0))


def _response(layer: Layer, weights: NDArray[Any], means: Vector) -> Vector:
    """What each output channel is, without bias, where each input channel is its mean."""
    groups = layer.attributes.get("groups", 1)
    inward = np.repeat(means.reshape(groups, -1), len(weights) // groups, axis=0)
    taps = weights.astype(np.float64).reshape(*weights.shape[:2], -1).sum(2)
    return np.asarray((taps * inward).sum(1))


def _with_bias(layer: Layer, quantised: Quantised, extra: Vector) -> Layer:
    """The layer without what its outputs have too much."""
    source = quantised.tensors[layer.inputs[0]]
    steps = quantised.weight_scales[layer.output].ravel().astype(np.float64) * source.scale
    weights, bias = layer.constants["weights"], layer.constants["bias"]
    wanted = np.rint(bias - extra / steps)
    fits = grid.largest_sums(weights, wanted, source.zero_point) < MAX_SUM
    corrected = np.where(fits, wanted, bias).astype(np.int32)
    return replace(layer, constants={**layer.constants, "bias": corrected})

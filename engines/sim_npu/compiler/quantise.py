"""A float32 graph and the ranges of its tensors become integer layers of the device."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.compiler import grid, lowering
from engines.sim_npu.compiler.calibration import Range
from engines.sim_npu.compiler.passes.links import Links
from engines.sim_npu.compiler.qdq import Given

#: Operators whose saturation can stand for the rectifier behind them.
_SATURATING = ("Conv", "Gemm", "Add", "Mul", "AveragePool", "GlobalAveragePool")
_RECTIFIERS = ("Relu", "Clip")
_WEIGHTED = ("Conv", "Gemm", "MatMul")
#: Ranges may differ this much and share a grid: the narrower one keeps six of its eight bits.
_UNLIKE = 4.0
_SUGGESTIONS = {
    "Exp": "decode boxes behind the network, in float",
    "Softmax": "export the logits; the softmax belongs to decoding",
    "NonMaxSuppression": "end the network before it; the pipeline's postprocess has it",
    "TopK": "end the network before it; the pipeline's postprocess has it",
    "RoiAlign": "split the network in two stages around it",
    "MatMul": "with constant weights and a (n, k) input it becomes a dense layer",
    "Pad": "give the padding to the convolution or pooling that follows",
    "BatchNormalization": "let a convolution alone read into it, so that it is folded",
    "ReduceMean": "export it as GlobalAveragePool",
    "Resize": "export it with mode nearest and whole factors",
    "Upsample": "export it as Resize, opset 11 or later",
}
#: A scale is a float32, so the highest number may lie that much above what it stands for.
_ROUNDED = 1 + 1e-6
_NO_SUGGESTION = "it runs on the host, in float32"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node that stays in float32 on the host.

    Attributes:
        node: its name, or that of its first output.
        operator: ONNX's.
        reason: why the device does not run it.
        suggestion: what to do about it.
    """

    node: str
    operator: str
    reason: str
    suggestion: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node}: {self.reason}; {self.suggestion}"


@dataclass(frozen=True, slots=True)
class Quantised:
    """A graph with the layers of every node the device can run.

    Attributes:
        model: an `onnx.ModelProto` in float32, as after the graph passes.
        tensors: grids of all int8 tensors.
        layers: by the first output of the node they stand for, in order; an empty list where the
            layer before does the node's work as well.
        refusals: what stays on the host, by the first output.
        weight_scales: float32 of each output channel, by the tensor a layer makes.
    """

    model: Any
    tensors: dict[str, Tensor]
    layers: dict[str, list[Layer]]
    refusals: dict[str, Refusal]
    weight_scales: dict[str, NDArray[Any]]


def quantise(
    model: Any,
    ranges: Mapping[str, Range],
    given: Given | None = None,
    rounding: str = "fixed",
    keep_float: Collection[str] = (),
    per_channel: bool = True,
) -> Quantised:
    """Lowers every node the device can run, and says of every other why it cannot.

    Args:
        model: after the graph passes; all shapes known. It is not changed.
        ranges: of its float tensors, from calibration; may be empty for a network that came
            quantised.
        given: what such a network says of its numbers; it goes before `ranges`.
        rounding: one of `operators.ROUNDINGS`.
        keep_float: nodes that shall stay on the host, by name or by the name of an output.
        per_channel: whether weights have a scale for each output channel, or one a layer; scales
            that were given stay.

    Raises:
        ProgramError: `keep_float` names what is not there.
    """
    graph, given = model.graph, given or Given()
    shapes = onnx_graph.shapes(graph)
    known = onnx_graph.constants(graph)
    _check_names(graph, keep_float)
    tensors = {
        name: grid.fit(shapes[name], *found) for name, found in ranges.items() if name in shapes
    }
    tensors |= {
        name: replace(tensor, shape=shapes[name])
        for name, tensor in given.tensors.items()
        if name in shapes
    }
    network = lowering.Network(
        model, known, shapes, tensors, rounding, per_channel, dict(given.weight_scales)
    )
    unlike = {} if given.tensors else _unlike_joins(graph, tensors)
    kept = [node for node in graph.node if {node.name, *node.output} & set(keep_float)]
    merged = _rectified(graph, network, {node.output[0] for node in kept})
    layers, refusals = dict[str, list[Layer]](), dict[str, Refusal]()
    for node in graph.node:
        name = node.output[0]
        if node in kept:
            refusals[name] = refusal(node, "it is kept in float as asked")
        elif name in unlike:
            reason = f"it joins ranges that differ {unlike[name]:.0f}-fold, for one grid of 256"
            refusals[name] = refusal(node, reason)
        elif name in merged.values() and node.input[0] in layers:
            layers[name] = []
        else:
            try:
                layers[name] = lowering.lower(network, node, merged.get(name, ""))
            except lowering.Unsupported as reason:
                refusals[name] = refusal(node, str(reason))
    used = {t for made in layers.values() for layer in made for t in (*layer.inputs, layer.output)}
    tensors = {name: tensor for name, tensor in network.tensors.items() if name in used}
    return Quantised(model, tensors, layers, refusals, network.weight_scales)


def _unlike_joins(graph: Any, tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Behind the last layers with weights: where tensors of very different ranges become one.

    A detector's boxes would share a grid with its scores there, and only to be handed out. By the
    output of each such ``Concat``: how much the widest range is wider than the narrowest.
    """
    links, tail, found = Links.of(graph), set[str](), dict[str, float]()
    for node in reversed(graph.node):
        readers = [reader for name in node.output for reader in links.readers.get(name, [])]
        if node.op_type in _WEIGHTED or not tail.issuperset(one.output[0] for one in readers):
            continue
        tail.add(node.output[0])
        scales = [tensors[name].scale for name in node.input if name in tensors]
        if node.op_type == "Concat" and scales and max(scales) > _UNLIKE * min(scales):
            found[node.output[0]] = max(scales) / min(scales)
    return found


def _rectified(graph: Any, network: lowering.Network, kept: set[str]) -> dict[str, str]:
    """Outputs of nodes whose saturation does the work of the rectifier that alone reads them."""
    links, found = Links.of(graph), dict[str, str]()
    for node in graph.node:
        after = links.sole_reader(node.output[0]) if node.op_type in _SATURATING else None
        if after is None or after.op_type not in _RECTIFIERS:
            continue
        name = after.output[0]
        made = network.tensors.get(name)
        if kept & {node.output[0], name} or made is None:
            continue
        floor, ceiling = _limits(after, network)
        lowest, highest = grid.levels(made)[[0, -1]]
        if floor == lowest == 0 and highest <= ceiling * _ROUNDED:
            found[node.output[0]] = name
    return found


def _limits(node: Any, network: lowering.Network) -> tuple[float, float]:
    """What a rectifier lets through; NaN where that is computed at run time."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    given = onnx_graph.attributes(node)
    limits = [float(given.get("min", -np.inf)), float(given.get("max", np.inf))]
    for place, name in enumerate(node.input[1:]):
        if name:
            limits[place] = network.known[name].item() if name in network.known else np.nan
    return limits[0], limits[1]


def _check_names(graph: Any, keep_float: Collection[str]) -> None:
    there = {name for node in graph.node for name in (node.name, *node.output)}
    if wrong := sorted(set(keep_float) - there):
        raise ProgramError(f"keep_float: the network has no layer {', '.join(wrong)}")


def refusal(node: Any, reason: str) -> Refusal:
    """Why a node stays on the host, with what can be done about its operator."""
    suggestion = _SUGGESTIONS.get(node.op_type, _NO_SUGGESTION)
    return Refusal(node.name or node.output[0], node.op_type, reason, suggestion)

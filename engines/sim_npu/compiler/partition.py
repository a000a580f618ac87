"""Where each node runs: stretches of the graph on the device, and on the host between them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from engines.convert import graph as onnx_graph
from engines.sim_npu.artefact import Layer, Segment
from engines.sim_npu.compiler.quantise import Quantised, refusal
from engines.sim_npu.compiler.tiling import WEIGHTED

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Cut:
    """A tensor that goes from one segment, or the caller, to another.

    Attributes:
        tensor: its name.
        source: number of the segment it comes from; -1 for an input of the network.
        target: number of the segment it goes to; the number of segments for an output.
        bytes: copied: int8 where either side is a device of integers, else float32.
        change: ``quantise``, ``dequantise``, or empty where both sides hold the same numbers.
    """

    tensor: str
    source: int
    target: int
    bytes: int
    change: str


@dataclass(frozen=True, slots=True)
class Partition:
    """A network in segments.

    Attributes:
        segments: in the order they run.
        cuts: between them, and to the caller.
    """

    segments: tuple[Segment, ...]
    cuts: tuple[Cut, ...]

    @property
    def bytes_copied(self) -> int:
        """Of all cuts, for one run."""
        return sum(cut.bytes for cut in self.cuts)


def consolidate(quantised: Quantised) -> Quantised:
    """Leaves to the host each stretch for the device without a convolution or dense layer.

    Its copies would take longer than its work, and its numbers stay in float32.
    """
    kept, refusals = dict[str, list[Layer]](), dict(quantised.refusals)
    for nodes in _stretches(quantised.model.graph, set(quantised.layers)):
        made = {node.output[0]: quantised.layers.get(node.output[0], []) for node in nodes}
        if any(layer.operator in WEIGHTED for layers in made.values() for layer in layers):
            kept |= made
            continue
        for node in [node for node in nodes if node.output[0] in quantised.layers]:
            reason = "no convolution or dense layer stands with it, between others on the host"
            refusals[node.output[0]] = refusal(node, reason)
    held = {
        t for layers in kept.values() for layer in layers for t in (*layer.inputs, layer.output)
    }
    tensors = {name: tensor for name, tensor in quantised.tensors.items() if name in held}
    return replace(quantised, layers=kept, refusals=refusals, tensors=tensors)


def partition(quantised: Quantised, integers: bool = True) -> Partition:
    """Cuts a network into as few segments as the order of its nodes allows.

    Args:
        quantised: the network.
        integers: whether the device takes int8, or float32.
    """
    device = set(quantised.layers)
    stretches = _stretches(quantised.model.graph, device)
    segments = [_segment(quantised, nodes, device, stretches) for nodes in stretches]
    return Partition(tuple(segments), tuple(_cuts(quantised, segments, integers)))


def _stretches(graph: Any, device: Collection[str]) -> list[list[Any]]:
    """Nodes in turn on the device and on the host, each time as many as are ready."""
    waiting, stretches = list(graph.node), list[list[Any]]()
    missing = {name for node in waiting for name in node.output}
    here = True
    while waiting:
        taken, left = list[Any](), list[Any]()
        for node in waiting:
            ready = missing.isdisjoint(node.input) and (node.output[0] in device) == here
            (taken if ready else left).append(node)
            missing.difference_update(node.output if ready else ())
        if taken:
            stretches.append(taken)
        waiting, here = left, not here
    return stretches


def _segment(
    quantised: Quantised, nodes: list[Any], device: Collection[str], stretches: list[list[Any]]
) -> Segment:
    """The layers, or the host's network, of one stretch."""
    outputs = {value.name for value in quantised.model.graph.output}
    elsewhere = {
        name for other in stretches if other is not nodes for n in other for name in n.input
    }
    if nodes[0].output[0] in device:
        layers = tuple(layer for node in nodes for layer in quantised.layers[node.output[0]])
        made = [layer.output for layer in layers]
        read = [name for layer in layers for name in layer.inputs]
    else:
        layers = tuple[Layer, ...]()
        known = onnx_graph.constants(quantised.model.graph)
        made = [name for node in nodes for name in node.output]
        read = [name for node in nodes for name in node.input if name and name not in known]
    inputs = tuple(dict.fromkeys(name for name in read if name not in made))
    given = tuple(name for name in made if name in outputs | elsewhere)
    network = b"" if layers else _host_network(quantised.model, inputs, given)
    return Segment(inputs, given, layers, network)


def _host_network(model: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    from onnx.utils import Extractor

    content: bytes = Extractor(model).extract_model(inputs, outputs).SerializeToString()
    return content


def _cuts(quantised: Quantised, segments: list[Segment], integers: bool) -> list[Cut]:
    """What goes where, in the order it is read."""
    graph = quantised.model.graph
    shapes = onnx_graph.shapes(graph)
    source = {value.name: -1 for value in onnx_graph.inputs(graph)}
    source |= {name: n for n, segment in enumerate(segments) for name in segment.outputs}
    readers = [segment.inputs for segment in segments]
    readers.append(tuple(value.name for value in graph.output))

    def stored(place: int) -> bool:
        return integers and 0 <= place < len(segments) and segments[place].on_device

    cuts = []
    for target, names in enumerate(readers):
        for name in names:
            sides = stored(source[name]), stored(target)
            change = {(False, True): "quantise", (True, False): "dequantise"}.get(sides, "")
            size = prod(shapes[name]) * (1 if any(sides) else _FLOAT_BYTES)
            cuts.append(Cut(name, source[name], target, size, change))
    return cuts

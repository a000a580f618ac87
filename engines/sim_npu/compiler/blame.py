"""Which layer is to blame for a loss: the error at the outputs when it alone is in int8.

A layer has the rounding of its weights, that of the tensor it makes, and that of tensors it takes
from the host; a layer that only moves numbers has none. The network is run once in float32, and
for each layer what follows from its error once more: for the 243 of a YOLOX-nano at 416 x 416 that
takes 3 s of one core for each probe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.program import Tensors
from engines.sim_npu.artefact import Layer
from engines.sim_npu.compiler.passes.links import Links
from engines.sim_npu.compiler.quantise import Quantised
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.compiler.simulate import fake_quantised
from engines.sim_npu.compiler.stepwise import Stepwise
from engines.sim_npu.operators import OPERATORS

#: Operators that put an output together and compute nothing.
_JOINING = ("Concat", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity")


@dataclass(frozen=True, slots=True)
class Blame:
    """What one layer alone does to the outputs.

    Attributes:
        layer: its name.
        operator: of the device.
        share: of the sum of all layers' errors, 0 … 1; 0 where there is no error at all.
        snr_db: power of the outputs to power of their error; inf where there is none.
        keep: the nodes that have to stay in float for this error to vanish: the layer's own, and
            those that read its output, which would be rounded for them again.
    """

    layer: str
    operator: str
    share: float
    snr_db: float
    keep: tuple[str, ...]


def blame(quantised: Quantised, probes: Iterable[Tensors]) -> list[Blame]:
    """All layers that round anything, worst first.

    An output that is joined from parts, as a detector's boxes and scores are, counts part by part:
    of each the error's share of all that arrives, error / (error + signal), and of these the mean.
    One whose shape depends on the data counts as what the device gives for it.

    Args:
        quantised: the network.
        probes: inputs as recorded, float32; all tensors of one at a time are held. Without any, no
            layer is to blame.
    """
    model = quantised.model
    parts = _parts(quantised)
    layers = [layer for made in quantised.layers.values() for layer in made if _rounds(layer)]
    network, rounded = Stepwise.of(model), Stepwise.of(fake_quantised(quantised))
    exact = Reference(model, [name for step in network.steps for name in step.node.output])
    alone = [rounded.between(layer.inputs, [layer.output]) for layer in layers]
    after = network.between((), parts)
    signal, noise = np.zeros(len(parts)), np.zeros((len(layers), len(parts)))
    for feeds in probes:
        values = feeds | exact.run(feeds)
        signal += [_apart(values[part], 0) for part in parts]
        for row, layer, steps in zip(noise, layers, alone, strict=True):
            made = steps.run(values, {name: values[name] for name in layer.inputs})
            found = after.run(values, {layer.output: made[layer.output]})
            row += [_apart(found[part], values[part]) if part in found else 0 for part in parts]
    wrong = np.divide(noise, total := noise + signal, out=np.zeros_like(noise), where=total > 0)
    return _judged(quantised, layers, wrong.mean(1))


def _judged(quantised: Quantised, layers: list[Layer], wrong: NDArray[np.float64]) -> list[Blame]:
    """The list, from each layer's share of what arrives."""
    links, network = Links.of(quantised.model.graph), Stepwise.of(quantised.model)
    found, total = list[Blame](), float(wrong.sum())
    for layer, part in zip(layers, wrong.tolist(), strict=True):
        own = [step.node for step in network.between(layer.inputs, [layer.output]).steps]
        nodes = [*own, *_readers(links, quantised, layer.output)]
        keep = dict.fromkeys(node.name or node.output[0] for node in nodes)
        share = part / total if part else 0.0
        found.append(Blame(layer.name, layer.operator, share, _decibels(part), tuple(keep)))
    return sorted(found, key=lambda one: -one.share)


def _decibels(part: float) -> float:
    """Signal to error, where this part of both is error."""
    if part in (0, 1):
        return -inf if part else inf
    return 10 * log10((1 - part) / part)


def _rounds(layer: Layer) -> bool:
    """Whether it makes other numbers than it takes."""
    row = OPERATORS[layer.operator]
    return row.rescales or bool(row.constants)


def _readers(links: Links, quantised: Quantised, name: str) -> Iterator[Any]:
    """Nodes on the device that take a tensor, or the same numbers moved."""
    for node in links.readers.get(name, []):
        if node.output[0] in quantised.layers:
            yield node
            for layer in quantised.layers[node.output[0]]:
                if not _rounds(layer):
                    yield from _readers(links, quantised, layer.output)


def _parts(quantised: Quantised) -> list[str]:
    """The tensors the outputs are joined from."""
    graph = quantised.model.graph
    links, shapes, known = Links.of(graph), onnx_graph.shapes(graph), onnx_graph.constants(graph)
    seen = set[str]()

    def parts(name: str, varies: bool = False) -> Iterator[str]:
        if name in seen or name in known or not name:
            return
        seen.add(name)
        node, varies = links.makers.get(name), varies or -1 in shapes.get(name, (-1,))
        joined = node is not None and node.op_type in _JOINING
        if node is not None and (name not in quantised.tensors if varies else joined):
            for source in node.input:
                yield from parts(source, varies)
        else:
            yield name

    return [part for value in graph.output for part in parts(value.name)]


def _apart(found: NDArray[Any], expected: NDArray[Any] | float) -> float:
    """Power of a difference."""
    return float(np.square(np.subtract(found, expected, dtype=np.float64)).sum())

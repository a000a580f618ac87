"""Channels of a tensor brought to like ranges, since they share one grid of 256 levels.

A factor per channel moves from the weights that make a tensor to the weights that read it: what the
network computes stays (Nagel et al., "Data-Free Quantization through Weight Equalization and Bias
Correction", 2019, section 4.1). The activation between is put between factors, as one function of
each channel: factor and offset, activation, factor; the device has it as a table for each channel.

This is done around curved activations only. A rectifier would let a factor through, but there it
was measured to lose more by the weights' grids, and by channels that recorded inputs leave at zero,
than it gains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.program import Tensors
from engines.sim_npu.compiler.calibration import Range
from engines.sim_npu.compiler.passes.links import Links
from engines.sim_npu.compiler.reference import Reference

Vector = NDArray[np.float64]

#: Domain of the functions of the model that are activations between factors.
DOMAIN = "sightline.equalised"
#: First version of ONNX's files that may hold functions.
_IR_VERSION = 8
#: Activations, without attributes, that are put between factors.
_CURVED = ("Silu", "HardSwish", "Sigmoid", "Tanh")
#: By the activation's name.
FUNCTIONS = {name: f"Equalised{name}" for name in _CURVED}
#: Operators that do the same to every channel, whatever its factor.
_THROUGH = ("MaxPool", "AveragePool", "GlobalAveragePool", "Resize")
#: Of the widest channel: a narrower one is not spread further, being next to nothing.
_NARROWEST = 1 / 1024


def equalise(model: Any, inputs: Iterable[Tensors]) -> dict[str, Range]:
    """Rewrites a model in place so that the channels of a tensor differ less.

    Args:
        model: an `onnx.ModelProto` in float32, after the graph passes.
        inputs: recorded; a few will do, since any factors leave what is computed as it is.

    Returns:
        The ranges of tensors whose every channel was fitted to its own, to be taken as they are.
    """
    graph = model.graph
    rewriting = _Rewriting(
        model, onnx_graph.constants(graph), Links.of(graph), _extremes(model, inputs)
    )
    for node in list(graph.node):
        source = node.input[0] if node.input else ""
        if _has_weights(node, rewriting.known):
            rewriting.convolution(node)
        elif node.op_type in _THROUGH and source in rewriting.factors:
            rewriting.factors[node.output[0]] = rewriting.factors[source]
        elif node.op_type == "Concat" and rewriting.factors.keys() & set(node.input):
            parts = [rewriting.factors_of(name) for name in node.input]
            rewriting.factors[node.output[0]] = np.concatenate(parts)
    onnx_graph.drop_unread(graph)
    onnx_graph.pin(model, ())
    return {node.input[0]: (-1.0, 1.0) for node in graph.node if node.domain == DOMAIN}


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """A model on its way.

    Attributes:
        model: an `onnx.ModelProto`.
        known: its constants.
        links: as it was.
        extremes: smallest and largest value of each channel, of tensors of four axes.
        factors: by tensor: what each channel has been divided by.
    """

    model: Any
    known: Constants
    links: Links
    extremes: dict[str, tuple[Vector, Vector]]
    factors: dict[str, Vector] = field(default_factory=dict)

    def factors_of(self, name: str) -> Vector:
        """Of a tensor's channels; 1 where nothing was done."""
        return self.factors.get(name, np.ones(len(self.extremes[name][0])))

    def convolution(self, node: Any) -> None:
        """Gives a convolution its input's factors, and its output and activation new ones."""
        made = node.output[0]
        after = self.links.sole_reader(made)
        if after is not None and after.op_type in _CURVED:
            low, high = self.extremes[made]
            middle, half = (low + high) / 2, _not_nothing((high - low) / 2)
            self._put_between(after, half, middle, self._spread(after.output[0]))
            self._rewrite(node, 1 / half, -middle / half)
            return
        if node.input[0] in self.factors:
            channels = len(self.extremes[made][0])
            self._rewrite(node, np.ones(channels), np.zeros(channels))

    def _spread(self, name: str) -> Vector:
        """Chooses factors of a tensor where all that reads it can take them."""
        if not self._absorbed(name):
            return self.factors_of(name)
        factors = _spread(*self.extremes[name])
        if not all(_is_depthwise(node, len(factors)) for node in self.links.readers[name]):
            factors = np.sqrt(factors)  # the other half stays where it is: weights have grids too
        self.factors[name] = factors
        return factors

    def _absorbed(self, name: str) -> bool:
        """Whether all that reads a tensor are convolutions, perhaps behind what keeps channels."""
        readers = self.links.readers.get(name, [])
        return name not in self.links.outputs and all(
            _has_weights(node, self.known)
            or (_keeps_channels(node) and self._absorbed(node.output[0]))
            for node in readers
        )

    def _put_between(self, node: Any, before: Vector, offset: Vector, after: Vector) -> None:
        """Makes ``f(before · x + offset) / after`` of an activation f."""
        from onnx import helper

        name = FUNCTIONS[node.op_type]
        if name not in {function.name for function in self.model.functions}:
            self._define(node, name)
        constants = [
            self._store(f"{node.output[0]}/{what}", values.reshape(1, -1, 1, 1))
            for what, values in (("before", before), ("offset", offset), ("after", 1 / after))
        ]
        inputs, outputs = [node.input[0], *constants], list(node.output)
        node.CopyFrom(helper.make_node(name, inputs, outputs, name=node.name, domain=DOMAIN))

    def _define(self, node: Any, name: str) -> None:
        """Writes what an activation between factors is into the model."""
        from onnx import helper

        body = [
            helper.make_node("Mul", ["x", "before"], ["stretched"]),
            helper.make_node("Add", ["stretched", "offset"], ["real"]),
            helper.make_node(node.op_type, ["real"], ["active"], domain=node.domain),
            helper.make_node("Mul", ["active", "after"], ["y"]),
        ]
        names, imports = ["x", "before", "offset", "after"], list(self.model.opset_import)
        self.model.functions.append(helper.make_function(DOMAIN, name, names, ["y"], body, imports))
        if DOMAIN not in {entry.domain for entry in imports}:
            self.model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        self.model.ir_version = max(self.model.ir_version, _IR_VERSION)

    def _rewrite(self, node: Any, scale: Vector, shift: Vector) -> None:
        """Gives a convolution weights and biases of its own."""
        weight = self.known[node.input[1]].astype(np.float64)
        bias = self.known[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight))
        groups = onnx_graph.attributes(node).get("group", 1)
        inward = self.factors_of(node.input[0]).reshape(groups, -1)
        weight = weight * np.repeat(inward, len(weight) // groups, axis=0)[:, :, None, None]
        weight = weight * scale[:, None, None, None]
        made = node.output[0]
        arrays = {"weight/equalised": weight, "bias/equalised": bias * scale + shift}
        names = [self._store(f"{made}/{what}", array) for what, array in arrays.items()]
        node.input[:] = [node.input[0], *names]

    def _store(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        stored = numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name)
        self.model.graph.initializer.append(stored)
        return name


def _has_weights(node: Any, known: Constants) -> bool:
    """Whether a node is a two-dimensional convolution whose weights and biases are constants."""
    return (
        node.op_type == "Conv"
        and all(name in known for name in node.input[1:])
        and known[node.input[1]].ndim == 4
    )


def _keeps_channels(node: Any) -> bool:
    joins = node.op_type == "Concat" and onnx_graph.attributes(node)["axis"] == 1
    return joins or node.op_type in _THROUGH


def _is_depthwise(node: Any, channels: int) -> bool:
    """Whether a node's sums are of one channel each, so that a factor costs its weights nothing."""
    return bool(node.op_type == "Conv" and onnx_graph.attributes(node).get("group", 1) == channels)


def _extremes(model: Any, inputs: Iterable[Tensors]) -> dict[str, tuple[Vector, Vector]]:
    """Smallest and largest value of each channel, of tensors of four axes."""
    found: dict[str, tuple[Vector, Vector]] = {}
    reference = Reference(model, (name for node in model.graph.node for name in node.output))
    for feeds in inputs:
        for name, values in (dict(feeds) | reference.run(feeds)).items():
            if values.ndim != 4:
                continue
            low, high = (end(values, axis=(0, 2, 3)).astype(np.float64) for end in (np.min, np.max))
            before = found.get(name, (low, high))
            found[name] = np.minimum(low, before[0]), np.maximum(high, before[1])
    return found


def _spread(low: Vector, high: Vector) -> Vector:
    """Factors that let every channel fill a grid whose zero point they share.

    A zero point gives a share of the grid to negative numbers; the share is chosen for which the
    channels' steps, measured by their own widths, have the smallest squares in sum.
    """
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    width = _not_nothing(high - low)
    share = np.linspace(0, 1, 256)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.fmax(-low / share, high / (1 - share))  # 0 / 0 asks for nothing
    best = np.nansum((factors / width) ** 2, axis=1).argmin()
    return _not_nothing(factors[best])


def _not_nothing(widths: Vector) -> Vector:
    """Positive widths, none of them a tiny part of the largest."""
    largest = widths.max()
    return np.maximum(widths, largest * _NARROWEST) if largest > 0 else np.ones_like(widths)

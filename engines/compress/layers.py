"""The layers that hold nearly all of a network's weights, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import cost
from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.errors import OptionError, ProgramError
from engines.tensor import TensorSpec

#: Operators with weights, as they are counted and compressed.
WEIGHTED = ("Conv", "Gemm", "MatMul")
#: First version of the file format whose weights need not be listed among the inputs.
_WEIGHTS_APART = 4
#: Parts of the names of operators that compute with, or store, quantised numbers.
_QUANTISED = ("uantizeLinear", "QLinear", "Integer")


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or a dense layer with constant weights.

    Attributes:
        node: its `onnx.NodeProto`.
        weight: as the network stores it.
        in_axis: of the weights, along the input channels; of a grouped convolution, of one group.
        out_axis: of the weights, along the output channels.
    """

    node: Any
    weight: NDArray[Any]
    in_axis: int
    out_axis: int

    @property
    def name(self) -> str:
        """For people."""
        return name_of(self.node)

    @property
    def output(self) -> str:
        """The tensor it makes."""
        return str(self.node.output[0])

    @property
    def groups(self) -> int:
        """Of a convolution; 1 of a dense layer."""
        return int(onnx_graph.attributes(self.node).get("group", 1))


@dataclass(frozen=True, slots=True)
class Change:
    """A layer that became smaller, or two small ones.

    Attributes:
        layer: its name.
        operator: of it.
        before: shape of its weights.
        after: shapes of the weights in its place.
        parameters: weights and biases, before and after.
        multiply_adds: of one forward, before and after.
        kept: share, 0..1: of the sum of the filters' norms, or of the squared singular values.
    """

    layer: str
    operator: str
    before: tuple[int, ...]
    after: tuple[tuple[int, ...], ...]
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]
    kept: float


@dataclass(frozen=True, slots=True)
class Compressed:
    """What came of a network.

    Attributes:
        model: the new `onnx.ModelProto`; equal to the old one where nothing changed.
        changes: of its layers, in the order they run.
        left: why a layer keeps all its output channels, or stays one layer, by its name.
        touched: tensors of the old network whose computation has changed.
        parameters: of all layers with weights, before and after.
        multiply_adds: of all layers, before and after.
        channels: which of its output channels a pruned layer keeps, by its output.
    """

    model: Any
    changes: tuple[Change, ...]
    left: dict[str, str]
    touched: frozenset[str]
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]
    channels: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


def require_shares(**shares: float | None) -> None:
    """Raises `OptionError` for a share, by its name, that is not between 0 and 1."""
    for name, share in shares.items():
        if share is not None and not 0 < share < 1:
            raise OptionError(f"{name}: expected a share between 0 and 1, got {share:g}")


def name_of(node: Any) -> str:
    """What a node is called, or else its output."""
    return str(node.name or node.output[0])


def layer_of(node: Any, known: Constants) -> Layer | None:
    """A node as a layer; None where it is none or its weights are not constant."""
    if node.op_type not in WEIGHTED or any(name not in known for name in node.input[1:] if name):
        return None
    weight, given = known[node.input[1]], onnx_graph.attributes(node)
    if node.op_type == "Conv":
        return Layer(node, weight, 1, 0)
    if weight.ndim != 2 or given.get("transA"):
        return None
    in_axis = 1 if given.get("transB") else 0
    return Layer(node, weight, in_axis, 1 - in_axis)


def layers_of(graph: Any) -> list[Layer]:
    """All layers of a graph, in the order they run."""
    known = onnx_graph.constants(graph)
    found = (layer_of(node, known) for node in graph.node)
    return [layer for layer in found if layer is not None]


def copied(model: Any, inputs: Iterable[TensorSpec]) -> tuple[Any, Any]:
    """A copy to be changed, and one with all shapes, the lengths of its inputs fixed.

    Raises:
        ProgramError: the network is quantised, or has no layers with weights.
    """
    import onnx

    for node in model.graph.node:
        if any(part in node.op_type for part in _QUANTISED):
            raise ProgramError(
                f"it is quantised ({node.op_type} {name_of(node)}): compress the network in "
                "float32 and quantise the result"
            )
    if not layers_of(model.graph):
        raise ProgramError(f"it has no {', '.join(WEIGHTED)} with constant weights")
    copy, fixed = onnx.ModelProto(), onnx.ModelProto()
    copy.CopyFrom(model)
    fixed.CopyFrom(model)
    return copy, _settled(fixed, inputs)


def _settled(model: Any, inputs: Iterable[TensorSpec]) -> Any:
    """The model, changed in place: the lengths of its inputs, and all that follows from them."""
    onnx_graph.pin(model, inputs)
    onnx_graph.settle(model)
    return model


def compressed(
    before: Any,
    model: Any,
    inputs: Iterable[TensorSpec],
    kept: Mapping[str, tuple[tuple[str, ...], float]],
    left: dict[str, str],
) -> Compressed:
    """Tidies a new network and counts what it has brought.

    Args:
        before: the old network with all shapes.
        model: the new one; what nothing reads any more and stale shapes are taken out.
        inputs: with their lengths.
        kept: by the output of each layer that changed: outputs of the layers in its place, and
            what they keep of it.
        left: see `Compressed`.
    """
    import onnx

    onnx_graph.drop_unread(model.graph)
    del model.graph.value_info[:]
    model.ir_version = max(model.ir_version, _WEIGHTS_APART)
    onnx.checker.check_model(model)
    after = onnx.ModelProto()
    after.CopyFrom(model)
    _settled(after, inputs)
    old, new = _Sizes.of(before.graph), _Sizes.of(after.graph)
    changes = tuple(
        Change(
            layer.name,
            layer.node.op_type,
            layer.weight.shape,
            tuple(new.weights[name] for name in outputs),
            (old.parameters[layer.output], sum(new.parameters[name] for name in outputs)),
            (old.counts.get(layer.output, 0), sum(new.counts.get(name, 0) for name in outputs)),
            share,
        )
        for layer in layers_of(before.graph)
        if layer.output in kept
        for outputs, share in (kept[layer.output],)
    )
    return Compressed(
        model,
        changes,
        left,
        frozenset(name for name, how in old.computed.items() if new.computed.get(name) != how),
        (sum(old.parameters.values()), sum(new.parameters.values())),
        (sum(old.counts.values()), sum(new.counts.values())),
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Of a graph with all shapes, by the output of a layer.

    Attributes:
        weights: shapes.
        parameters: how many, biases included.
        counts: of multiply-adds.
        computed: of every node, its operator and the shapes of what it reads and makes.
    """

    weights: dict[str, tuple[int, ...]]
    parameters: dict[str, int]
    counts: dict[str, int]
    computed: dict[str, tuple[Any, ...]]

    @classmethod
    def of(cls, graph: Any) -> _Sizes:
        layers, known = layers_of(graph), onnx_graph.constants(graph)
        shapes = onnx_graph.shapes(graph) | {name: array.shape for name, array in known.items()}
        computed = {
            node.output[0]: (node.op_type, *map(shapes.get, (*node.input, *node.output)))
            for node in graph.node
        }
        return cls(
            {layer.output: layer.weight.shape for layer in layers},
            {x.output: sum(known[n].size for n in x.node.input[1:] if n) for x in layers},
            cost.multiply_adds(graph),
            computed,
        )


def norms(weight: NDArray[Any], out_axis: int, order: int) -> NDArray[np.float64]:
    """The L1 or L2 norm of each filter, by output channel."""
    filters = np.moveaxis(weight, out_axis, 0).astype(np.float64)
    flat = filters.reshape(len(filters), prod(filters.shape[1:]))
    found: NDArray[np.float64] = np.linalg.norm(flat, ord=order, axis=1)
    return found

"""Which channels of a network belong together, and what must change when some of them go.

Every channel that a layer makes gets a number, and the numbers are followed through the graph:
a concatenation lists those of its parts, an addition ties those of its terms, position by position.
Channels that are tied can only go together (the "dependency groups" of Fang et al., "DepGraph:
Towards Any Structural Pruning", CVPR 2023). Where an operator is not understood, the channels it
reads stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engines.compress.layers import Layer, name_of
from engines.convert import graph as onnx_graph

Ids = NDArray[np.int64]
#: Whether a channel stays, by its number.
Keep = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of one tensor.

    Attributes:
        axis: they lie along.
        ids: their numbers, one for each position on the axis.
    """

    axis: int
    ids: Ids


@dataclass(frozen=True, slots=True)
class Made:
    """A layer whose channels are followed.

    Attributes:
        layer: it.
        inputs: channels of the tensor it reads; None where they cannot change.
        outputs: those it makes.
        depthwise: whether each of its filters sees one channel only.
    """

    layer: Layer
    inputs: Ids | None
    outputs: Ids
    depthwise: bool


class NotFollowedError(Exception):
    """Why the channels of a node's inputs cannot be followed through it."""


class Flow:
    """The channels of a network's tensors.

    Args:
        model: an `onnx.ModelProto`, which `apply` changes.
        fixed: the same with all shapes, and what follows from them as constants.

    Attributes:
        made: the layers that are followed, in the order they run.
        refused: why a node is not, by its name.
        channels: by tensor; a tensor without entry has channels that cannot change.
        known: constants of the model.
        shapes: of its tensors.
        values: constants, and what follows from constants and shapes.
    """

    def __init__(self, model: Any, fixed: Any) -> None:
        self.model = model
        self.made: list[Made] = []
        self.refused: dict[str, str] = {}
        self.channels: dict[str, Channels] = {}
        self.known = onnx_graph.constants(model.graph)
        self.values = onnx_graph.constants(fixed.graph)
        self.shapes = onnx_graph.shapes(fixed.graph) | {
            name: array.shape for name, array in self.values.items()
        }
        self._count = 0
        self._tied: list[tuple[Ids, Ids]] = []
        self._staying: list[tuple[Ids, str]] = []
        self._edits: list[tuple[Ids, Callable[[Keep], None]]] = []
        self._cut: dict[tuple[str, int, bytes], str] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor. Raises `NotFollowedError` where it is not known."""
        found = self.shapes.get(name)
        if found is None or -1 in found:
            raise NotFollowedError(f"has a tensor, {name}, whose shape is not known")
        return found

    def source(self, node: Any) -> Channels:
        """The channels of a node's first input. Raises `NotFollowedError` where it has none."""
        found = self.channels.get(node.input[0])
        if found is None:
            raise NotFollowedError("reads channels as a parameter")
        return found

    def fresh(self, count: int) -> Ids:
        """Numbers of new channels."""
        self._count += count
        return np.arange(self._count - count, self._count)

    def tie(self, one: Ids, other: Ids) -> None:
        """Lets channels stay or go together, position by position."""
        self._tied.append((one, other))

    def fix(self, ids: Ids, reason: str) -> None:
        """Lets channels stay."""
        self._staying.append((ids, reason))

    def refuse(self, node: Any, reason: str) -> None:
        """Lets the channels stay that a node reads."""
        self.refused[name_of(node)] = reason
        for name in onnx_graph.reads(node):
            if name in self.channels:
                self.fix(self.channels[name].ids, f"{node.op_type} {name_of(node)} {reason}")

    def fix_outputs(self) -> None:
        """Lets the channels stay that the network gives: before any other reason for it."""
        given = [value.name for value in self.model.graph.output if value.name in self.channels]
        self._staying[:0] = [
            (self.channels[name].ids, f"it makes the output {name}") for name in given
        ]

    def units(self) -> tuple[Ids, dict[int, str]]:
        """The unit of each channel, and of the units that stay why they do.

        Channels of one unit stay or go together.
        """
        one, other = np.hstack([np.empty((2, 0), np.int64), *map(np.stack, self._tied)])
        size = max(self._count, 1)
        ties = coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
        unit = connected_components(ties, directed=False)[1].astype(np.int64)
        staying: dict[int, str] = {}
        for ids, reason in self._staying:
            for number in np.unique(unit[ids]).tolist():
                staying.setdefault(number, reason)
        return unit, staying

    def edit(self, ids: Ids, change: Callable[[Keep], None]) -> None:
        """Remembers what to do where some of these channels go.

        Args:
            ids: of a tensor's channels.
            change: is told of each of them whether it stays.
        """
        self._edits.append((ids, change))

    def cut(self, node: Any, place: int, axis: int, ids: Ids) -> None:
        """A constant input of a node has one entry along an axis for each of these channels."""
        self.edit(ids, lambda keep: self._take(node, place, axis, keep))

    def apply(self, keep: Keep) -> None:
        """Takes the channels that do not stay out of the model."""
        for ids, change in self._edits:
            if not keep[ids].all():
                change(keep[ids])

    def write(self, node: Any, place: int, array: NDArray[Any]) -> None:
        """Gives a node a constant input of its own."""
        from onnx import numpy_helper

        name = f"{node.output[0]}/pruned{place}"
        while len(node.input) <= place:
            node.input.append("")
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        self.known[name], node.input[place] = array, name

    def _take(self, node: Any, place: int, axis: int, keep: Keep) -> None:
        """Cuts a constant; nodes that share one, and are cut alike, share it afterwards."""
        from onnx import numpy_helper

        source = node.input[place]
        name = self._cut.setdefault(
            (source, axis, keep.tobytes()), f"{node.output[0]}/pruned{place}.{axis}"
        )
        if name not in self.known:
            self.known[name] = np.compress(keep, self.known[source], axis)
            tensor = numpy_helper.from_array(self.known[name], name)
            self.model.graph.initializer.append(tensor)
        node.input[place] = name

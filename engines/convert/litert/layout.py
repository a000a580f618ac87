"""The translation's state: each ONNX tensor's counterparts, in one order of axes or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph
from engines.convert.litert.probe import Probe
from engines.convert.litert.writer import Writer

#: The order that ONNX has, and, for four axes, channels last.
PLAIN, NHWC = "plain", "nhwc"
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
INT32_MAX = np.iinfo(np.int32).max


class Translation:
    """A network half translated.

    Operators ask for a tensor in the order they want (`get`); a transposition is written the first
    time an order is asked for that nobody has made. `order` tells which one costs nothing.
    """

    def __init__(self, model: Any, probe: Probe, writer: Writer) -> None:
        self.graph = model.graph
        self.opset = graph.opset(model)
        self.probe = probe
        self.writer = writer
        self._uses = graph.uses(model.graph)
        self._made: dict[tuple[str, str], int] = {}
        self._activations: dict[int, Any] = {}
        self._inputs = {value.name: self.define(value.name) for value in graph.inputs(model.graph)}

    def nodes(self) -> Iterator[Any]:
        """The nodes that compute something: those whose results are not constant."""
        for node in self.graph.node:
            if any(name and name not in self.probe.constants for name in node.output):
                yield node

    def finish(self) -> bytes:
        """The file; each of its outputs has a tensor of its own."""
        taken = set(self._inputs.values())
        outputs = {}
        for value in self.graph.output:
            index = self.get(value.name)
            if index in taken:
                unmoved = tuple(range(len(self.probe.shapes[value.name])))
                source, index = index, self.define(value.name)
                self.transpose(source, unmoved, index)
            outputs[value.name] = index
            taken.add(index)
        return self.writer.finish(self._inputs, outputs)

    def constant(self, name: str) -> NDArray[Any] | None:
        """A tensor's contents; None where they are known at run time only."""
        return self.probe.constants.get(name)

    def order(self, *names: str) -> str:
        """The order in which a computation on these tensors needs the fewest transpositions."""
        computed = [name for name in names if name not in self.probe.constants]
        images = all(len(self.probe.shapes[name]) == 4 for name in computed)
        return NHWC if images and any((name, NHWC) in self._made for name in computed) else PLAIN

    def get(self, name: str, order: str = PLAIN) -> int:
        """The tensor in this order."""
        if (name, order) not in self._made:
            value = self.constant(name)
            if value is not None:
                self._made[name, order] = self._constant(name, value, order)
            else:
                other, permutation = (PLAIN, TO_NHWC) if order == NHWC else (NHWC, TO_NCHW)
                source = self._made[name, other]
                self.transpose(source, permutation, self.define(name, order))
        return self._made[name, order]

    def axes(self, axes: Iterable[int], name: str, order: str) -> list[int]:
        """Where axes of a tensor, negative ones from the end, are in this order."""
        rank = len(self.probe.shapes[name])
        positive = [axis % rank for axis in axes]
        return [TO_NCHW[axis] for axis in positive] if order == NHWC else positive

    def define(self, name: str, order: str = PLAIN, like: str = "") -> int:
        """The tensor, about to be computed in this order, with shape and type of another one."""
        like = like or name
        shape, is_open = self.probe.shapes[like], self.probe.open_shapes[like]
        if order == NHWC:
            shape, is_open = (tuple(s[axis] for axis in TO_NHWC) for s in (shape, is_open))
        index = self.writer.tensor(shape, is_open, self.probe.dtypes[like], f"{name}/{order}")
        self._made[name, order] = index
        return index

    def same(self, name: str, other: str) -> None:
        """Says that a tensor equals another one."""
        for order in (PLAIN, NHWC):
            if (other, order) in self._made:
                self._made[name, order] = self._made[other, order]
        if other in self.probe.constants:
            self._made[name, PLAIN] = self.get(other)

    def transposed(self, name: str, source: str, permutation: tuple[int, ...]) -> None:
        """A tensor that is another one with its axes in another order; for free where there is one.

        Args:
            name: of the new tensor.
            source: tensor whose axes are taken.
            permutation: axis of the source for each axis of the new tensor.
        """
        order = self.order(source)
        if order == NHWC:
            permutation = tuple(TO_NCHW[axis] for axis in permutation)
        if permutation == tuple(range(len(permutation))):
            self._made[name, PLAIN] = self.get(source, order)
        elif order == PLAIN and permutation == TO_NCHW:
            self._made[name, NHWC] = self.get(source)
        else:
            index = self.get(source, order)
            self.transpose(index, permutation, self.define(name))

    def transpose(self, source: int, permutation: tuple[int, ...], result: int) -> None:
        """Writes a transposition."""
        self.writer.operator("TRANSPOSE", [source, self.integers(permutation)], result)

    def integers(self, values: Any) -> int:
        """A constant list of whole numbers."""
        limited = np.clip(np.asarray(values, np.int64), -INT32_MAX, INT32_MAX)
        return self.writer.constant(limited.astype(np.int32))

    def can_activate(self, result: int, options: Any) -> None:
        """Says that the operator that computes a tensor can apply an activation itself."""
        self._activations[result] = options

    def activate(self, name: str, source: str, activation: str) -> bool:
        """Lets the operator that computed a tensor apply an activation, where nobody else reads it.

        Returns whether it does.
        """
        order = self.order(source)
        options = self._activations.pop(self._made.get((source, order), -1), None)
        if options is None or self._uses[source] != 1:
            return False
        kinds = self.writer.schema.ActivationFunctionType
        options.fusedActivationFunction = getattr(kinds, activation)
        self._made[name, order] = self._made[source, order]
        return True

    def _constant(self, name: str, value: NDArray[Any], order: str) -> int:
        """A constant; one of fewer axes gets those that broadcasting would give it."""
        if order == NHWC:
            value = value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(TO_NHWC)
        return self.writer.constant(value, f"{name}/{order}")

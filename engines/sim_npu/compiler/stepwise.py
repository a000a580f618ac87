"""A network one node at a time: after a change, only what follows from it is run again."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.program import Tensors
from engines.sim_npu.compiler.reference import Reference


@dataclass(slots=True)
class Step:
    """One node, ready to run alone.

    Attributes:
        model: that it is part of.
        node: as ONNX has it.
        known: the model's constants.
        reads: names of its inputs that are no constants.
    """

    model: Any
    node: Any
    known: Constants = field(repr=False)
    reads: frozenset[str] = field(init=False)
    _reference: Reference | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.reads = frozenset(name for name in self.node.input if name) - self.known.keys()

    def run(self, values: Mapping[str, NDArray[Any]]) -> Tensors:
        """Its outputs; it is opened now, since only now the types of its inputs are known."""
        feeds = {name: values[name] for name in self.reads}
        if self._reference is None:
            self._reference = Reference(self._alone(feeds))
        return self._reference.run(feeds)

    def _alone(self, feeds: Tensors) -> Any:
        """A model of this node only."""
        from onnx import ValueInfoProto, helper, numpy_helper

        given = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), None)
            for name, a in feeds.items()
        ]
        made = [ValueInfoProto(name=name) for name in self.node.output if name]
        names = [name for name in dict.fromkeys(self.node.input) if name in self.known]
        constants = [numpy_helper.from_array(self.known[name], name) for name in names]
        return helper.make_model(
            helper.make_graph([self.node], "step", given, made, constants),
            functions=self.model.functions,
            opset_imports=self.model.opset_import,
            ir_version=self.model.ir_version,
        )


class Stepwise:
    """Nodes of a model in the order they run.

    Attributes:
        steps: the nodes.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(steps)

    @classmethod
    def of(cls, model: Any) -> Stepwise:
        """All nodes of an `onnx.ModelProto`, which is not changed."""
        known = onnx_graph.constants(model.graph)
        nodes = (node for node in model.graph.node if node.output[0] not in known)
        return cls(Step(model, node, known) for node in nodes)

    def between(self, inputs: Collection[str], outputs: Collection[str]) -> Stepwise:
        """The nodes that lead from some tensors to others."""
        wanted, chosen = set(outputs).difference(inputs), list[Step]()
        for step in reversed(self.steps):
            if not wanted.isdisjoint(step.node.output):
                wanted |= step.reads.difference(inputs)
                chosen.append(step)
        return Stepwise(reversed(chosen))

    def run(self, values: Tensors, changed: Tensors) -> Tensors:
        """Runs the nodes that follow from a change.

        Args:
            values: all tensors as they were; those that nothing changes are taken from here.
            changed: the change.

        Returns:
            The change, and every tensor that came of it.
        """
        now = dict(changed)
        for step in self.steps:
            if not step.reads.isdisjoint(now):
                now |= step.run(ChainMap(now, values))
        return now

"""An ONNX graph as a torch module."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.convert import graph as onnx_graph
from engines.convert.torch.operators import HOST, OPERATORS
from engines.errors import ProgramError


class OnnxModule(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Runs the nodes of an ONNX model one after another, in the order of the file.

    Meant to be traced: what is left then are the operators. Constants are buffers, so that the
    module can be moved to a device and to another precision.

    Args:
        model: an `onnx.ModelProto`.
        name: of the file, for messages.

    Raises:
        ProgramError: it has operators that are not in `OPERATORS`, all of them named.
    """

    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        self._name = name
        self._nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        self._inputs = [value.name for value in onnx_graph.inputs(model.graph)]
        self._outputs = [value.name for value in model.graph.output]
        unknown = {_kind(node) for node in self._nodes} - set(OPERATORS)
        if unknown:
            raise ProgramError(
                f"{name}: torch conversion has no operator {', '.join(sorted(unknown))}"
            )
        self._common = {"opset": onnx_graph.opset(model)}
        self._known = onnx_graph.constants(model.graph)
        for number, value in enumerate(self._known.values()):
            self.register_buffer(f"constant{number}", torch.from_numpy(np.array(value)))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The model's outputs, in its order, for its inputs, in its order."""
        values = dict(zip(self._known, self.buffers(), strict=True))
        values |= dict(zip(self._inputs, inputs, strict=True))
        for node in self._nodes:
            try:
                values |= self._run(node, values)
            except Exception as error:
                label = f"{node.op_type} {node.name or node.output[0]}"
                raise ProgramError(f"{self._name}: {label}: {error}") from error
        return tuple(values[name] for name in self._outputs)

    def _run(self, node: Any, values: dict[str, Tensor]) -> dict[str, Tensor]:
        host = HOST.get(node.op_type, ())
        arguments = [
            None if not name else self._numbers(name, values) if place in host else values[name]
            for place, name in enumerate(node.input)
        ]
        attributes = onnx_graph.attributes(node) | self._common | {"outputs": len(node.output)}
        result = OPERATORS[node.op_type](attributes, *arguments)
        results = [result] if isinstance(result, Tensor) else result
        # Outputs that are absent here, such as Dropout's mask, are wanted by nobody.
        return dict(zip(node.output, results, strict=False))

    def _numbers(self, name: str, values: dict[str, Tensor]) -> list[Any]:
        """A tensor as numbers, which trace as such where they depend on the input."""
        if name in self._known:
            numbers: list[Any] = self._known[name].ravel().tolist()
            return numbers
        return list(values[name].reshape(-1).unbind())


def _kind(node: Any) -> str:
    """The operator's name, with its domain where that is not ONNX's own."""
    own = node.domain in ("", "ai.onnx")
    return str(node.op_type) if own else f"{node.domain}.{node.op_type}"

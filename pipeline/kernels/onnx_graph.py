"""Writing a small ONNX network, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from engines.convert.graph import library
from engines.tensor import TensorSpec

#: Old enough for every backend that reads ONNX, new enough for an aligned RoiAlign (16).
OPSET, IR_VERSION = 17, 8

#: A tensor's name, or the value of a constant.
Operand = str | ArrayLike


class OnnxGraph:
    """A graph while it grows.

    Operators are those of https://github.com/onnx/onnx/blob/main/docs/Operators.md. An operand that
    is no name becomes a constant: floats as float32, whole numbers as int64.

    Args:
        name: of the network.

    Raises:
        EngineUnavailable: the package ``onnx`` is missing.
    """

    def __init__(self, name: str) -> None:
        self._onnx = library(f"kernel {name} as an ONNX network")
        self._name = name
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, operator: str, *operands: Operand, output: str = "", **attributes: Any) -> str:
        """Adds a node with one output; gives the output's name."""
        return self.nodes(operator, *operands, outputs=[output], **attributes)[0]

    def nodes(
        self, operator: str, *operands: Operand, outputs: Sequence[str], **attributes: Any
    ) -> list[str]:
        """Adds a node with several outputs; gives their names, made up where they are empty."""
        inputs = [x if isinstance(x, str) else self._constant(x) for x in operands]
        names = [name or f"{operator}{len(self._nodes)}.{i}" for i, name in enumerate(outputs)]
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, names, **attributes))
        return names

    def part(self, tensor: str, axis: int, start: int, stop: int) -> str:
        """The elements `start` to `stop` (not included) of one axis."""
        return self.node("Slice", tensor, [start], [stop], [axis])

    def dtype(self, dtype: DTypeLike) -> int:
        """ONNX's number of an element type, for ``Cast``."""
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def finish(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
        """The network as the content of an ``.onnx`` file, checked."""
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            self._name,
            list(map(self._value, inputs)),
            list(map(self._value, outputs)),
            self._constants,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        self._onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    def _value(self, spec: TensorSpec) -> Any:
        axes = [f"{spec.name}.{i}" if n < 0 else n for i, n in enumerate(spec.shape)]
        return self._onnx.helper.make_tensor_value_info(spec.name, self.dtype(spec.dtype), axes)

    def _constant(self, value: ArrayLike) -> str:
        name = f"constant{len(self._constants)}"
        array: NDArray[Any] = np.asarray(value)
        kinds = {"f": np.float32, "i": np.int64}
        array = array.astype(kinds.get(array.dtype.kind, array.dtype))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

"""Writes the flatbuffer of a TensorFlow Lite network: tensors, their buffers, operators.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3, as `ai-edge-litert` ships it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 3
SIGNATURE = "serving_default"


class Writer:
    """A network that grows by one tensor or operator at a time; tensors are known by their index.

    Raises `ImportError` where ``ai-edge-litert`` is missing.
    """

    def __init__(self) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self._builder = flatbuffers.Builder
        self._types = {
            np.dtype(name): getattr(schema.TensorType, name.upper())
            for name in ("float32", "int32", "int64", "uint8", "int8", "bool")
        }
        self._buffers = [schema.BufferT()]  # the first is empty: tensors without contents have it
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}

    def constant(self, array: NDArray[Any] | np.generic, name: str = "") -> int:
        """A tensor with contents."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self._buffers.append(buffer)
        index = self.tensor(array.shape, array.shape, array.dtype, name)
        self._tensors[index].buffer = len(self._buffers) - 1
        return index

    def tensor(
        self,
        shape: tuple[int, ...],
        open_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        name: str = "",
    ) -> int:
        """A tensor that is computed or fed; `open_shape` has -1 where any length is taken."""
        tensor = self.schema.TensorT()
        tensor.shape = list(shape)
        if -1 in open_shape:
            tensor.shapeSignature = list(open_shape)
        tensor.type = self._types[dtype]
        tensor.name = name or f"tensor_{len(self._tensors)}"
        tensor.buffer = 0
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(
        self, name: str, inputs: list[int], output: int, options: str = "", **values: Any
    ) -> Any:
        """One operator.

        Args:
            name: in ``BuiltinOperator``, such as ``CONV_2D``.
            inputs: tensors.
            output: tensor.
            options: table of its options in the schema, such as ``Conv2DOptions``.
            **values: of these options.

        Returns:
            The options, to be completed.
        """
        code = getattr(self.schema.BuiltinOperator, name)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs = inputs
        operator.outputs = [output]
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            for key, value in values.items():
                setattr(operator.builtinOptions, key, value)
        self._operators.append(operator)
        return operator.builtinOptions

    def finish(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """The file, with these inputs and outputs as its signature."""
        schema = self.schema
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs, subgraph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey = SIGNATURE
        signature.inputs, signature.outputs = self._names(inputs), self._names(outputs)
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = "Converted from ONNX by Sightline"
        model.operatorCodes = [self._code(code) for code in self._codes]
        model.subgraphs, model.buffers = [subgraph], self._buffers
        model.signatureDefs = [signature]
        builder = self._builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, code: int) -> Any:
        entry = self.schema.OperatorCodeT()
        entry.builtinCode = code
        entry.deprecatedBuiltinCode = min(code, 127)  # a byte, for readers of older files
        entry.version = 1
        return entry

    def _names(self, tensors: dict[str, int]) -> list[Any]:
        maps = []
        for name, index in tensors.items():
            entry = self.schema.TensorMapT()
            entry.name, entry.tensorIndex = name, index
            maps.append(entry)
        return maps

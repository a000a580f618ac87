"""Reading an ONNX graph: what the converters of several formats need to know of it.

Specification: https://github.com/onnx/onnx/blob/main/docs/Operators.md. Models are `onnx.ModelProto`
objects; typed `Any` here, since the package ``onnx`` is imported only where a network is converted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineUnavailable, ProgramError

Constants = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class AxisSlice:
    """One axis of a ``Slice``: elements ``start, start + step, …`` before ``stop``."""

    axis: int
    start: int
    stop: int
    step: int


def load(path: Path) -> Any:
    """The checked ONNX model of a file, external data included.

    Raises:
        EngineUnavailable: the package ``onnx`` is missing.
        ProgramError: the file is no valid ONNX network.
    """
    try:
        import onnx
    except ImportError as error:
        raise EngineUnavailable(f"reading ONNX: {error}; run: pip install onnx") from error
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:
        raise ProgramError(f"{path}: not a valid ONNX network: {error}") from error
    return model


def opset(model: Any) -> int:
    """Version of the standard operators the model uses."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))


def constants(graph: Any) -> Constants:
    """Initialisers and ``Constant`` nodes, by the name of their tensor."""
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = _constant(attributes(node))
    return found


def attributes(node: Any) -> dict[str, Any]:
    """Attributes by name: numbers, lists of numbers, strings, and tensors as `onnx.TensorProto`."""
    from onnx import helper

    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: _text(value) for name, value in values.items()}


def inputs(graph: Any) -> list[Any]:
    """The inputs a caller feeds: those that are not initialisers as well."""
    known = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in known]


def shape(value: Any) -> tuple[int, ...]:
    """Shape of an input or output; -1 where an axis has no fixed length."""
    return tuple(
        d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim
    )


def uses(graph: Any) -> Counter[str]:
    """How often each tensor is read, as an input of a node or as an output of the graph."""
    read = Counter(name for node in graph.node for name in node.input)
    return read + Counter(value.name for value in graph.output)


def slices(node: Any, known: Mapping[str, NDArray[Any]]) -> list[AxisSlice] | None:
    """The axes of a ``Slice`` node, in any opset; None where they are computed at run time."""
    given = attributes(node)
    if "starts" in given:  # opset < 10
        starts, stops = given["starts"], given["ends"]
        axes, steps = given.get("axes"), None
    else:
        names = [*node.input[1:], "", "", "", ""][:4]
        if any(name and name not in known for name in names):
            return None
        starts, stops, axes, steps = (known[n].tolist() if n else None for n in names)
    axes = axes if axes is not None else range(len(starts))
    steps = steps if steps is not None else [1] * len(starts)
    return [AxisSlice(*map(int, row)) for row in zip(axes, starts, stops, steps, strict=True)]


def _constant(given: Mapping[str, Any]) -> NDArray[Any]:
    from onnx import numpy_helper

    if "value" in given:
        return numpy_helper.to_array(given["value"])
    (name, value), *_ = given.items()
    return np.array(value, np.float32 if name.startswith("value_float") else np.int64)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value

"""Reading an ONNX graph: what the converters of several formats need to know of it.

Specification: https://github.com/onnx/onnx/blob/main/docs/Operators.md. Models are
`onnx.ModelProto`, typed `Any`, since ``onnx`` is imported only where a network is converted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineUnavailable, ProgramError
from engines.tensor import TensorSpec

Constants = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class AxisSlice:
    """One axis of a ``Slice``: elements ``start, start + step, …`` before ``stop``."""

    axis: int
    start: int
    stop: int
    step: int


def library(purpose: str) -> Any:
    """The package ``onnx``.

    Args:
        purpose: what it is needed for, for the message.

    Raises:
        EngineUnavailable: it is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise EngineUnavailable(
            f"{purpose}: {error}; run: pip install 'sightline[convert]'"
        ) from error
    return onnx


def load(path: Path) -> Any:
    """The checked ONNX model of a file, external data included.

    Raises:
        EngineUnavailable: the package ``onnx`` is missing.
        ProgramError: the file is no valid ONNX network.
    """
    onnx = library("reading ONNX")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:
        raise ProgramError(f"{path}: not a valid ONNX network: {error}") from error
    return model


def constants(graph: Any) -> Constants:
    """Initialisers and ``Constant`` nodes, by the name of their tensor."""
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = _constant(attributes(node))
    return found


def settle(model: Any, keep: Container[str] = ()) -> None:
    """Turns into constants, in place, what follows from constants and shapes without any input.

    Shapes may follow from those in turn, so it goes on until nothing new is found. Operators named
    in `keep` stay, and with them what follows from them.
    """
    from onnx import numpy_helper, shape_inference

    while found := _following(model, keep):
        graph = model.graph
        for node in [node for node in graph.node if node.output[0] in found]:
            graph.node.remove(node)
        graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in found.items())
        model.CopyFrom(shape_inference.infer_shapes(model, data_prop=True))


def _following(model: Any, keep: Container[str]) -> Constants:
    """Outputs of nodes whose inputs are constants, or a shape that is known."""
    from onnx.reference import ReferenceEvaluator

    known, told, found = constants(model.graph), shapes(model.graph), Constants()
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        feeds = {name: known[name] for name in node.input if name in known}
        shape = told.get(node.input[0], (-1,)) if node.op_type == "Shape" else (-1,)
        if -1 not in shape:
            feeds[node.input[0]] = np.empty(shape, np.float32)
        needed = [name for name in reads(node) if name]
        if feeds and node.op_type not in keep and all(name in feeds for name in needed):
            arrays = ReferenceEvaluator(node, opsets=opsets).run(None, feeds)
            found.update(zip(node.output, map(np.asarray, arrays), strict=True))
            known.update(found)
    return found


def opset(model: Any) -> int:
    """Version of the standard operators the model uses."""
    standard = (entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return max(int(entry.version) for entry in standard)


def attributes(node: Any) -> dict[str, Any]:
    """Attributes by name: numbers, lists of numbers, strings, and tensors as `onnx.TensorProto`."""
    from onnx import helper

    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: _text(value) for name, value in values.items()}


def inputs(graph: Any) -> list[Any]:
    """The inputs a caller feeds: those that are not initialisers as well."""
    known = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in known]


def spec(value: Any) -> TensorSpec:
    """An input or output as a specification; -1 where an axis has no fixed length."""
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return TensorSpec(value.name, _shape(value), np.dtype(dtype))


def specs(values: Iterable[Any], declared: Iterable[TensorSpec] = ()) -> tuple[TensorSpec, ...]:
    """Inputs or outputs of a graph, completed by what is declared of them."""
    said = {known.name: known for known in declared}
    return tuple(
        said[found.name].narrowed(found) if found.name in said else found
        for found in map(spec, values)
    )


def pin(model: Any, declared: Iterable[TensorSpec]) -> None:
    """Fixes, in place, the lengths of inputs that are declared, and infers all shapes from them."""
    from onnx import shape_inference

    wanted = {known.name: known.shape for known in declared}
    for value in model.graph.input:
        axes = value.type.tensor_type.shape.dim
        for axis, length in zip(axes, wanted.get(value.name, ()), strict=False):
            if length >= 0:
                axis.dim_value = length
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    model.CopyFrom(shape_inference.infer_shapes(model, data_prop=True))


def pin_one_image(model: Any, declared: Iterable[TensorSpec]) -> None:
    """As `pin`, with a batch of one. Raises `ProgramError` where another axis is still open."""
    one = [replace(known, shape=(1, *known.shape[1:])) for known in declared]
    for known in one:
        if -1 in known.shape:
            raise ProgramError(f"input {known}: expected fixed lengths after the first axis")
    pin(model, one)


def shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Shapes the graph tells, by tensor; -1 where an axis has no fixed length."""
    told = (*graph.value_info, *graph.input, *graph.output)
    return {value.name: _shape(value) for value in told}


def reads(node: Any) -> list[str]:
    """The tensors a node reads, its branches and loop bodies included."""
    inner = [graph for entry in node.attribute for graph in (entry.g, *entry.graphs)]
    return [*node.input, *(name for graph in inner for one in graph.node for name in reads(one))]


def uses(graph: Any) -> Counter[str]:
    """How often each tensor is read, by a node or as an output of the graph."""
    read = Counter(name for node in graph.node for name in reads(node))
    return read + Counter(value.name for value in graph.output)


def drop_unread(graph: Any) -> None:
    """Takes out nodes and weights nothing reads any more; nodes are in the order they run."""
    read = uses(graph)
    for node in reversed(list(graph.node)):
        if not any(read[name] for name in node.output):
            read.subtract(reads(node))
            graph.node.remove(node)
    unread = {tensor.name for tensor in graph.initializer if read[tensor.name] < 1}
    for field in (graph.initializer, graph.input):  # old models list their weights as inputs too
        for entry in [entry for entry in field if entry.name in unread]:
            field.remove(entry)


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
        return np.asarray(numpy_helper.to_array(given["value"]))
    (name, value), *_ = given.items()
    return np.array(value, np.float32 if name.startswith("value_float") else np.int64)


def _shape(value: Any) -> tuple[int, ...]:
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in axes)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value

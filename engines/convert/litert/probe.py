"""What a network's tensors are, seen by running it: shapes, types, and which are constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph
from engines.errors import ProgramError
from engines.program import Network

#: Lengths that are tried for an open axis: the first axis (the batch), and any other.
BATCHES, LENGTHS = (1, 2), (64, 96)
ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class Probe:
    """What running told.

    Attributes:
        shapes: of every tensor, with the shortest lengths of open axes; whole numbers.
        open_shapes: the same, with -1 where a length follows that of an open axis.
        dtypes: of every tensor.
        constants: tensors that depend on no input; those that depend on the inputs' shapes only,
            as they are with the shortest lengths.
    """

    shapes: dict[str, tuple[int, ...]]
    open_shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]
    constants: dict[str, NDArray[Any]]


def probe(source: Network, model: Any) -> Probe:
    """Runs the model on zeros, twice where its inputs have open axes."""
    fed = [graph.spec(value) for value in graph.inputs(model.graph)]
    is_open = any(-1 in spec.shape for spec in fed)
    session = _session(source, model)
    runs = []
    for batch, length in zip(BATCHES, LENGTHS, strict=True):
        feed = {
            spec.name: np.zeros(_lengths(spec.shape, batch, length), spec.dtype) for spec in fed
        }
        try:
            found = dict(zip(session[1], session[0].run(session[1], feed), strict=True))
        except Exception as error:
            raise ProgramError(f"{source}: ONNX Runtime cannot run it: {error}") from error
        runs.append(found | feed | graph.constants(model.graph))
        if not is_open:
            break
    first, last = runs[0], runs[-1]
    shapes = {name: value.shape for name, value in first.items()}
    return Probe(
        shapes,
        {name: _merged(shape, last[name].shape) for name, shape in shapes.items()},
        {name: value.dtype for name, value in first.items()},
        _constants(model, first),
    )


def _session(source: Network, model: Any) -> tuple[Any, list[str]]:
    """A session that gives every tensor, and their names."""
    import onnx
    import onnxruntime as ort

    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    del seen.graph.output[:]
    seen.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = ERRORS_ONLY
    try:
        return ort.InferenceSession(
            seen.SerializeToString(), settings, providers=["CPUExecutionProvider"]
        ), names
    except Exception as error:
        raise ProgramError(f"{source}: ONNX Runtime cannot load it: {error}") from error


def _lengths(shape: tuple[int, ...], batch: int, length: int) -> list[int]:
    return [n if n >= 0 else length if axis else batch for axis, n in enumerate(shape)]


def _merged(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a if a == b else -1 for a, b in zip(one, other, strict=True))


def _constants(model: Any, values: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    known = graph.constants(model.graph)
    for node in model.graph.node:
        if node.op_type == "Shape" or all(name in known for name in node.input if name):
            known |= {name: values[name] for name in node.output if name}
    return known

"""ONNX → MNN, node by node, with the expressions of the package ``MNN`` (`MNN.expr`).

MNN's own converter is not used: importing it reports to its maker's servers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines.convert import graph as onnx_graph
from engines.convert.mnn_operators import OPERATORS, Step
from engines.errors import EngineUnavailable, ProgramError
from engines.mnn import INSTALL, stdout_on_stderr
from engines.program import Network

PRECISION = "fp32"
_NAME = "network.mnn"


def convert(source: Network, folder: Path, precision: str) -> Network:
    """Writes ``network.mnn`` into a folder.

    Tensors keep their names. The file is laid out for one image; a batch that the source leaves
    open stays open, since the engine lays a network out anew for other lengths.

    Args:
        source: an ONNX network; all axes of its inputs but the first have a fixed length.
        folder: that exists.
        precision: ``fp32``.

    Raises:
        ProgramError: it is no ONNX network, or has an operator this converter does not know.
        EngineUnavailable: ``onnx`` or ``MNN`` is missing.
    """
    if precision != PRECISION:
        raise ProgramError(f"{source}: MNN networks are written in {PRECISION}, not {precision}")
    model = onnx_graph.load(source.path)
    inputs = onnx_graph.specs(onnx_graph.inputs(model.graph), source.inputs)
    outputs = onnx_graph.specs(model.graph.output, source.outputs)
    onnx_graph.pin_one_image(model, inputs)
    _check_operators(source, model.graph)
    try:
        with stdout_on_stderr():
            from MNN import expr
    except ImportError as error:
        raise EngineUnavailable(f"ONNX to MNN: {error}; run: {INSTALL}") from error
    path, part = folder / _NAME, folder / f"{_NAME}.part"
    expr.save(_build(source, model, expr), str(part))
    part.replace(path)
    return Network(path, "mnn", inputs, outputs, precision=precision)


def _check_operators(source: Network, graph: Any) -> None:
    kinds = {node.op_type for node in graph.node}
    unknown = sorted(kinds - set(OPERATORS) - {"Constant", "Shape"})
    if unknown:
        raise ProgramError(f"{source}: no MNN expression for the operator {', '.join(unknown)}")


def _build(source: Network, model: Any, F: Any) -> list[Any]:
    """The outputs as MNN variables, everything before them attached."""
    onnx_graph.settle(model)
    graph = model.graph
    known, shapes, opset = (
        onnx_graph.constants(graph),
        onnx_graph.shapes(graph),
        onnx_graph.opset(model),
    )
    shapes |= {name: value.shape for name, value in known.items()}
    made = {value.name: _placeholder(value.name, shapes, F) for value in onnx_graph.inputs(graph)}
    for node in (n for n in graph.node if n.output[0] not in known):
        step = Step(node, onnx_graph.attributes(node), [], known, shapes, opset, F)
        step.variables.extend(_variable(name, made, step) for name in node.input)
        try:
            result = OPERATORS[node.op_type](step)
        except (ProgramError, RuntimeError, ValueError) as error:
            raise ProgramError(f"{source}: node {node.name or node.output[0]}: {error}") from error
        results = result if isinstance(result, list) else [result]
        for name, variable in zip(node.output, results, strict=False):
            if tuple(variable.shape) != shapes.get(name, tuple(variable.shape)):
                raise ProgramError(
                    f"{source}: node {node.name or name} ({node.op_type}): expected shape "
                    f"{list(shapes[name])}, MNN makes {variable.shape}"
                )
            made[name] = variable
    return [_output(made[value.name], value.name, F) for value in graph.output]


def _placeholder(name: str, shapes: dict[str, tuple[int, ...]], F: Any) -> Any:
    variable = F.placeholder(list(shapes[name]), F.NCHW)
    variable.name = name
    return variable


def _variable(name: str, made: dict[str, Any], step: Step) -> Any:
    """An input of a node; constants become variables where they are used as such."""
    if not name:
        return None
    if name not in made:
        made[name] = step.const(step.known[name])
    return made[name]


def _output(variable: Any, name: str, F: Any) -> Any:
    """In plain layout, and a variable of its own: an output may be read inside as well."""
    plain = F.convert(variable, F.NCHW) if variable.data_format == F.NC4HW4 else variable
    named = F.reshape(plain, [-1, *plain.shape[1:]]) if plain.name else plain
    named.name = name
    return named

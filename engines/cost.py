"""What a network costs on paper: multiply-adds and bytes, from its ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from engines.convert import graph as graphs
from engines.errors import ProgramError
from engines.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one forward with batch 1.

    Attributes:
        flops: floating-point operations of convolutions and matrix products, two a multiply-add;
            the rest of a network is memory traffic.
        weight_bytes: read once a forward.
        tensor_bytes: of all tensors between the layers, written once and read once each.
    """

    flops: int
    weight_bytes: int
    tensor_bytes: int

    @property
    def bytes(self) -> int:
        """That move where no cache holds them."""
        return self.weight_bytes + 2 * self.tensor_bytes


def cost_of(path: Path, inputs: tuple[TensorSpec, ...]) -> Cost:
    """Counts over an ONNX file; a free batch axis counts as 1.

    Raises:
        EngineUnavailable: the onnx package is missing.
        ProgramError: the file is no ONNX network, or its shapes cannot be told.
    """
    model = graphs.load(path)
    from onnx import shape_inference

    _fix_inputs(model, inputs)
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:
        raise ProgramError(f"{path}: its shapes cannot be told: {error}") from error
    shapes = _shapes(graph)
    made = [name for node in graph.node for name in node.output if name in shapes]
    tensor_bytes = 4 * sum(prod(shapes[name]) for name in made)
    weight_bytes = sum(array.nbytes for array in graphs.constants(graph).values())
    return Cost(2 * sum(multiply_adds(graph).values()), weight_bytes, tensor_bytes)


def multiply_adds(graph: Any) -> dict[str, int]:
    """Of each convolution and matrix product whose shapes are known, by its first output.

    Args:
        graph: with its shapes inferred; a free axis counts as 1.
    """
    shapes = _shapes(graph)
    counts = {node.output[0]: _multiply_adds(node, shapes) for node in graph.node}
    return {name: count for name, count in counts.items() if count}


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Of constants and of all tensors the graph tells, a free axis as 1."""
    shapes = {name: array.shape for name, array in graphs.constants(graph).items()}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
    return shapes


def _fix_inputs(model: Any, inputs: tuple[TensorSpec, ...]) -> None:
    """Writes the declared shapes into the file's inputs, free axes as 1."""
    declared = {spec.name: spec.shape for spec in inputs}
    for value in model.graph.input:
        for axis, length in zip(
            value.type.tensor_type.shape.dim, declared.get(value.name, ()), strict=False
        ):
            axis.dim_value = max(length, 1)


def _multiply_adds(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Of one node; 0 where it is no convolution or matrix product, or its shape is unknown."""
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    made, weight = shapes.get(node.output[0]), shapes.get(node.input[1])
    given = shapes.get(node.input[0])
    if not made or not weight or not given:
        return 0
    if node.op_type == "Conv":  # each output element: a kernel over the group's input channels
        return prod(made) * prod(weight[1:])
    if node.op_type == "ConvTranspose":  # each input element: a kernel over the output channels
        return prod(given) * prod(weight[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(made) * given[-2 if transposed else -1]

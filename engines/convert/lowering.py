"""An fp32 ONNX network in fp16, with its inputs and outputs as they were.

bf16 is left out: ONNX has no convolution in it before opset 22.
"""

from __future__ import annotations

from typing import Any

from engines.errors import ProgramError

#: Operator → its inputs that are float32 whatever the others are.
_STAY = {"Resize": (1, 2), "Upsample": (1,)}


def to_fp16(model: Any) -> Any:
    """A copy of the model that computes in fp16, every floating operator of it.

    Weights are rounded, inputs are cast at the start and outputs back at the end, so nothing is
    left for a runtime to choose.

    Args:
        model: an `onnx.ModelProto` in fp32.

    Raises:
        ProgramError: the network is quantised, or has subgraphs, which this does not follow.
    """
    import onnx

    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    graph = lowered.graph
    del graph.value_info[:]
    stay = _staying(graph)
    for tensor in graph.initializer:
        if tensor.name not in stay:
            _round(tensor)
    for node in graph.node:
        if node.output[0] not in stay:
            _lower_attributes(node)
    _cast_borders(graph)
    return lowered


def _staying(graph: Any) -> set[str]:
    """The tensors that operators want in float32 in any network."""
    return {
        node.input[place]
        for node in graph.node
        for place in _STAY.get(node.op_type, ())
        if place < len(node.input)
    }


def _lower_attributes(node: Any) -> None:
    """Constants of a node, and the type a ``Cast`` goes to."""
    from onnx import AttributeProto, TensorProto, helper

    if node.op_type.endswith("QuantizeLinear") or node.op_type == "DequantizeLinear":
        raise ProgramError(f"{node.op_type} {node.name}: a quantised network cannot be lowered")
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            raise ProgramError(f"{node.op_type} {node.name}: its subgraph cannot be lowered")
        if attribute.type == AttributeProto.TENSOR:
            _round(attribute.t)
        elif (node.op_type, attribute.name) == ("Cast", "to") and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif node.op_type == "Constant" and attribute.name.startswith("value_float"):
            value = helper.get_attribute_value(attribute)
            shape = [] if attribute.name == "value_float" else [len(value)]
            values = [value] if attribute.name == "value_float" else value
            made = helper.make_tensor("", TensorProto.FLOAT, shape, values)
            _round(made)
            attribute.CopyFrom(helper.make_attribute("value", made))


def _round(tensor: Any) -> None:
    """Rounds a float32 tensor, in place; others stay as they are."""
    import numpy as np
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _cast_borders(graph: Any) -> None:
    """Casts inputs as they come and outputs as they go; inside, tensors get names of their own."""
    from onnx import TensorProto, helper

    known = {tensor.name for tensor in graph.initializer}
    inputs = [v.name for v in graph.input if v.name not in known and _is_float(v)]
    outputs = [v.name for v in graph.output if _is_float(v)]
    inner = {name: f"{name}/lowered" for name in (*inputs, *outputs)}
    for node in graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    half, full = TensorProto.FLOAT16, TensorProto.FLOAT
    first = [helper.make_node("Cast", [name], [inner[name]], to=half) for name in inputs]
    last = [helper.make_node("Cast", [inner[name]], [name], to=full) for name in outputs]
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)
    # Initialisers that older files list among the inputs as well have changed their type.
    for value in [v for v in graph.input if v.name in known]:
        graph.input.remove(value)


def _is_float(value: Any) -> bool:
    from onnx import TensorProto

    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)

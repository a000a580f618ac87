"""A network in eight bits, before any device is there to run it.

The float32 graph is run with its weights rounded to their integers' values and every int8 tensor
put through ``QuantizeLinear`` and ``DequantizeLinear``: "fake quantisation" (Jacob et al., 2018,
section 3). It differs from the device only where a rescaling rounds the other way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.compiler.quantise import Quantised

#: Operators whose weights are rounded; a factor per channel of another operator is left as it is.
_WEIGHTED = ("Conv", "Gemm")
#: First opset with ``QuantizeLinear``.
_OPSET = 10


def fake_quantised(quantised: Quantised) -> Any:
    """The model in float32 that computes with the values of the integers."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(quantised.model)
    for entry in model.opset_import:
        if entry.domain == "" and entry.version < _OPSET:
            entry.version = _OPSET
    _round_weights(model.graph, quantised)
    _round_activations(model.graph, quantised)
    return model


def _round_weights(graph: Any, quantised: Quantised) -> None:
    """Gives convolutions and dense layers the weights their integers stand for."""
    from onnx import numpy_helper

    for node in graph.node:
        layers = quantised.layers.get(node.output[0])
        if node.op_type not in _WEIGHTED or not layers:
            continue
        weight, bias = dequantised(layers[0], quantised)
        given = onnx_graph.attributes(node)
        if node.op_type == "Gemm" and not given.get("transB"):
            weight = weight.T
        for entry in [entry for entry in node.attribute if entry.name in ("alpha", "beta")]:
            node.attribute.remove(entry)
        names = [f"{node.output[0]}/{part}" for part in ("weight/rounded", "bias/rounded")]
        graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            for array, name in zip((weight, bias), names, strict=True)
        )
        node.input[:] = [node.input[0], *names]


def dequantised(layer: Layer, quantised: Quantised) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights and biases of a layer as real numbers."""
    scales = quantised.weight_scales[layer.output]
    stored, sums = layer.constants["weights"], layer.constants["bias"]
    steps = scales.ravel().astype(np.float64) * quantised.tensors[layer.inputs[0]].scale
    return stored * scales, sums * steps


def _round_activations(graph: Any, quantised: Quantised) -> None:
    """Puts every int8 tensor through its grid: where the device makes it, or first reads it."""
    device = [node for node in graph.node if node.output[0] in quantised.layers]
    made = {name for node in device for name in node.output}
    nodes, borders = list[Any](), set[str]()
    for node in graph.node:
        here = node.output[0] in quantised.layers
        read = {name for name in node.input if here and name in quantised.tensors} - made
        for name in sorted(read - borders):
            nodes += _through_grid(graph, quantised.tensors[name], name, f"{name}/rounded")
        borders |= read
        node.input[:] = [f"{name}/rounded" if name in read else name for name in node.input]
        rounded = [name for name in node.output if here and name in quantised.tensors]
        node.output[:] = [f"{name}/exact" if name in rounded else name for name in node.output]
        nodes.append(type(node).FromString(node.SerializeToString()))
        for name in rounded:
            nodes += _through_grid(graph, quantised.tensors[name], f"{name}/exact", name)
    del graph.value_info[:]
    del graph.node[:]
    graph.node.extend(nodes)


def _through_grid(graph: Any, tensor: Tensor, source: str, result: str) -> list[Any]:
    """The nodes that round a tensor."""
    from onnx import helper, numpy_helper

    stored, names = f"{result}/stored", [f"{result}/scale", f"{result}/zero_point"]
    values = np.asarray(np.float32(tensor.scale)), np.asarray(np.int8(tensor.zero_point))
    graph.initializer.extend(map(numpy_helper.from_array, values, names))
    return [
        helper.make_node("QuantizeLinear", [source, *names], [stored]),
        helper.make_node("DequantizeLinear", [stored, *names], [result]),
    ]

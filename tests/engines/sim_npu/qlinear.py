"""Layers of the rounding ``float`` as ONNX's quantised operators, run by ONNX Runtime.

All in uint8, u = q + 128, weights included: where a processor has no dot product of bytes, ONNX
Runtime's sums of products of uint8 and int8 saturate at 16 bits; those of uint8 alone never do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engines.sim_npu.artefact import Layer, Tensor

Int8 = NDArray[np.int8]
MICROSOFT = "com.microsoft"


class Graph:
    """An ONNX network that grows node by node.

    Args:
        tensors: of the artefact, by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, value: Any) -> str:
        name = f"constant {len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def grid(self, name: str) -> list[str]:
        """Scale and zero point of a tensor."""
        return [self.constant(np.float32(self.tensors[name].scale)), self.zero_point(name)]

    def zero_point(self, name: str) -> str:
        return self.constant(np.uint8(self.tensors[name].zero_point + 128))

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def real(self, name: str) -> str:
        """A tensor through DequantizeLinear."""
        return self.add("DequantizeLinear", [name, *self.grid(name)], f"real {len(self.nodes)}")

    def stored(self, real: str, name: str) -> str:
        """Real numbers through QuantizeLinear."""
        return self.add("QuantizeLinear", [real, *self.grid(name)], name)

    def run(self, inputs: Mapping[str, Int8], outputs: Sequence[str], **model: Any) -> list[Int8]:
        """What ONNX Runtime makes of it, node by node as written.

        Args:
            inputs: of the device.
            outputs: names of what is wanted.
            model: fields of the model besides the graph.
        """
        fed = {name: (array.view(np.uint8) ^ 128) for name, array in inputs.items()}
        graph = helper.make_graph(
            self.nodes,
            "expected",
            [
                helper.make_tensor_value_info(n, TensorProto.UINT8, array.shape)
                for n, array in fed.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
        built = helper.make_model(graph, **{"opset_imports": opsets, "ir_version": 8} | model)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(built.SerializeToString(), options)
        return [(array ^ 128).view(np.int8) for array in session.run(list(outputs), fed)]


def run(
    layers: Sequence[Layer], tensors: Mapping[str, Tensor], inputs: Mapping[str, Int8]
) -> dict[str, Int8]:
    """All that the layers make, each by the operator that ONNX specifies exactly."""
    graph = Graph(tensors)
    for layer in layers:
        OPERATORS[layer.operator](graph, layer)
    names = [layer.output for layer in layers]
    return dict(zip(names, graph.run(inputs, names), strict=True))


def weight_scales(layer: Layer, x: Tensor, y: Tensor) -> NDArray[np.float32]:
    """Scales of the weights that give the layer's ratios, in the order ONNX Runtime has."""
    ratios = layer.constants["ratio"]
    near = (ratios.astype(np.float64) * y.scale / x.scale).astype(np.float32)
    tried = (near.view(np.int32)[:, None] + np.arange(-4, 5, dtype=np.int32)).view(np.float32)
    hits = np.float32(x.scale) * tried / np.float32(y.scale) == ratios[:, None]
    assert hits.any(axis=1).all(), "no weight's scale gives this ratio"
    return tried[np.arange(len(tried)), hits.argmax(axis=1)]


def weighted(graph: Graph, layer: Layer) -> tuple[list[str], list[str], list[str]]:
    """The input's grid, the weights with theirs, and the output's grid."""
    (source,) = layer.inputs
    scales = weight_scales(layer, graph.tensors[source], graph.tensors[layer.output])
    stored = (layer.constants["weights"].view(np.uint8)) ^ 128
    zeros = np.full(len(scales), 128, np.uint8)
    weights = [graph.constant(array) for array in (stored, scales, zeros)]
    return [source, *graph.grid(source)], weights, graph.grid(layer.output)


def conv(graph: Graph, layer: Layer) -> None:
    x, weights, y = weighted(graph, layer)
    bias = graph.constant(layer.constants["bias"])
    window = {name: layer.attributes[name] for name in ("strides", "pads", "dilations")}
    groups = layer.attributes["groups"]
    inputs = [*x, *weights, *y, bias]
    graph.add("QLinearConv", inputs, layer.output, group=groups, **window)


def gemm(graph: Graph, layer: Layer) -> None:
    x, weights, y = weighted(graph, layer)
    inputs = [*x, *weights, graph.constant(layer.constants["bias"]), *y]
    graph.add("QGemm", inputs, layer.output, domain=MICROSOFT, transB=1)


def pair(graph: Graph, layer: Layer) -> None:
    a, b = (graph.real(name) for name in layer.inputs)
    made = graph.add(layer.operator.capitalize(), [a, b], f"exact {layer.output}")
    graph.stored(made, layer.output)


def average_pool(graph: Graph, layer: Layer) -> None:
    """Of the whole picture by its own kernel, which takes some ratios; else by one of ones.

    That is a convolution, whose input has the whole ratio for a scale, since not every ratio is
    that of a weight's scale.
    """
    (source,) = layer.inputs
    (_, channels, *lengths), kernel = graph.tensors[source].shape, layer.attributes["kernel"]
    window = {name: layer.attributes[name] for name in ("strides", "pads")}
    ratio = layer.constants["ratio"][0]
    if kernel == lengths and not any(window["pads"]) and 2.0**-32 < ratio < 256:
        inputs = [source, *graph.grid(source), *graph.grid(layer.output)]
        kind = "QLinearGlobalAveragePool"
        graph.add(kind, inputs, layer.output, domain=MICROSOFT, channels_last=0)
        return
    weights = graph.constant(np.ones((channels, 1, *kernel), np.uint8))
    one, zero = graph.constant(np.float32(1)), graph.constant(np.uint8(0))
    x = [source, graph.constant(ratio), graph.zero_point(source)]
    inputs = [*x, weights, one, zero, one, graph.zero_point(layer.output)]
    graph.add("QLinearConv", inputs, layer.output, group=channels, **window)


def max_pool(graph: Graph, layer: Layer) -> None:
    window = {name: layer.attributes[name] for name in ("strides", "pads")}
    graph.add(
        "MaxPool", layer.inputs, layer.output, kernel_shape=layer.attributes["kernel"], **window
    )


def lookup(graph: Graph, layer: Layer) -> None:
    """In one table, or in that of each channel, one after the other."""
    table = layer.constants["table"].view(np.uint8) ^ 128
    place = graph.add("Cast", layer.inputs, f"place {len(graph.nodes)}", to=TensorProto.INT32)
    if table.ndim > 1:
        inner = len(graph.tensors[layer.output].shape) - 2
        starts = np.arange(0, table.size, 256, np.int32).reshape(-1, *[1] * inner)
        place = graph.add("Add", [place, graph.constant(starts)], f"in all {len(graph.nodes)}")
    graph.add("Gather", [graph.constant(table.ravel()), place], layer.output)


def concat(graph: Graph, layer: Layer) -> None:
    parts = [part for name in layer.inputs for part in (name, *graph.grid(name))]
    inputs = [*graph.grid(layer.output), *parts]
    graph.add(
        "QLinearConcat", inputs, layer.output, domain=MICROSOFT, axis=layer.attributes["axis"]
    )


def resize_nearest(graph: Graph, layer: Layer) -> None:
    factors = graph.constant(np.array([1, 1, *layer.attributes["factors"]], np.float32))
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    graph.add("Resize", [layer.inputs[0], "", factors], layer.output, mode="nearest", **how)


def transpose(graph: Graph, layer: Layer) -> None:
    graph.add("Transpose", layer.inputs, layer.output, perm=layer.attributes["axes"])


def reshape(graph: Graph, layer: Layer) -> None:
    shape = graph.constant(np.array(layer.attributes["shape"], np.int64))
    graph.add("Reshape", [*layer.inputs, shape], layer.output)


def slice_(graph: Graph, layer: Layer) -> None:
    starts, stops, steps = (
        graph.constant(np.array(layer.attributes[name], np.int64))
        for name in ("starts", "stops", "steps")
    )
    axes = graph.constant(np.arange(len(layer.attributes["starts"])))
    graph.add("Slice", [*layer.inputs, starts, stops, axes, steps], layer.output)


OPERATORS = {
    "conv": conv,
    "gemm": gemm,
    "add": pair,
    "mul": pair,
    "average_pool": average_pool,
    "max_pool": max_pool,
    "lookup": lookup,
    "concat": concat,
    "resize_nearest": resize_nearest,
    "transpose": transpose,
    "reshape": reshape,
    "slice": slice_,
}

"""iou: how much boxes overlap, every one with every one."""

from __future__ import annotations

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.detection.boxes import iou_matrix
from pipeline.kernels.onnx_graph import OnnxGraph

_FLOAT = np.dtype(np.float32)
INPUTS = (TensorSpec("a", (-1, 4), _FLOAT), TensorSpec("b", (-1, 4), _FLOAT))
OUTPUTS = (TensorSpec("iou", (-1, -1), _FLOAT),)


def iou() -> Kernel:
    """Intersection over union of boxes ``a`` (N, 4) with ``b`` (M, 4), xyxy in pixels, float32.

    Output ``iou``: (N, M) float32, 0 where both boxes are empty. The two forms differ by rounding,
    1e-6.
    """
    return Kernel("iou", {}, INPUTS, OUTPUTS, _host, _onnx)


def _host(tensors: Tensors) -> Tensors:
    return {"iou": iou_matrix(tensors["a"], tensors["b"])}


def _onnx() -> bytes:
    graph = OnnxGraph("iou")
    a, b = graph.node("Unsqueeze", "a", [1]), graph.node("Unsqueeze", "b", [0])
    low = graph.node("Max", graph.part(a, 2, 0, 2), graph.part(b, 2, 0, 2))
    high = graph.node("Min", graph.part(a, 2, 2, 4), graph.part(b, 2, 2, 4))
    common = _area(graph, low, high)
    areas = [_area(graph, graph.part(x, 2, 0, 2), graph.part(x, 2, 2, 4)) for x in (a, b)]
    union = graph.node("Sub", graph.node("Add", *areas), common)
    share = graph.node("Div", common, graph.node("Max", union, float(np.finfo(_FLOAT).tiny)))
    graph.node("Squeeze", share, [2], output="iou")
    return graph.finish(INPUTS, OUTPUTS)


def _area(graph: OnnxGraph, low: str, high: str) -> str:
    """Areas (N, M, 1) of boxes with these corners, (N, M, 2) each; 0 where they are swapped."""
    size = graph.node("Max", graph.node("Sub", high, low), 0.0)
    return graph.node("Mul", graph.part(size, 2, 0, 1), graph.part(size, 2, 1, 2))

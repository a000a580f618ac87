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
#: Stands for the area of two empty boxes, whose overlap is 0.
TINY = float(np.finfo(np.float32).tiny)


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
    turned = graph.node("Transpose", "b", perm=[1, 0])
    # Columns (N, 1) and rows (1, M), so that no tensor is larger than the result.
    a = [graph.part("a", 1, i, i + 1) for i in range(4)]
    b = [graph.part(turned, 0, i, i + 1) for i in range(4)]
    low = [graph.node("Max", a[i], b[i]) for i in (0, 1)]
    high = [graph.node("Min", a[i], b[i]) for i in (2, 3)]
    common = _area(graph, *low, *high)
    union = graph.node("Sub", graph.node("Add", _area(graph, *a), _area(graph, *b)), common)
    graph.node("Div", common, graph.node("Max", union, TINY), output="iou")
    return graph.finish(INPUTS, OUTPUTS)


def _area(graph: OnnxGraph, x1: str, y1: str, x2: str, y2: str) -> str:
    """Areas of boxes with these corners, 0 where they are swapped."""
    width = graph.node("Max", graph.node("Sub", x2, x1), 0.0)
    height = graph.node("Max", graph.node("Sub", y2, y1), 0.0)
    return graph.node("Mul", width, height)

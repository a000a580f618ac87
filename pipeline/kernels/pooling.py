"""roi-align, roi-pool: the features under each proposal, in one size."""

from __future__ import annotations

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.detection.pyramid import Pooling, pooled
from pipeline.kernels.onnx_graph import OnnxGraph

_FLOAT = np.dtype(np.float32)


def pooling(how: Pooling, channels: int) -> Kernel:
    """RoIAlign or RoI pooling of one picture's features, from one level or several.

    Inputs: ``boxes`` (N, 4) float32 xyxy in input pixels and, for level i, ``features<i>``
    (1, channels, H, W) float32. Output ``roi_features``: (N, channels, rows, columns) float32. The
    two forms differ by rounding, 1e-5 of the largest feature.

    Args:
        how: the features are pooled.
        channels: of the features.
    """
    levels = range(len(how.strides))
    boxes = TensorSpec("boxes", (-1, 4), _FLOAT)
    maps = (TensorSpec(f"features{i}", (1, channels, -1, -1), _FLOAT, "nchw") for i in levels)
    inputs = (boxes, *maps)
    outputs = (TensorSpec("roi_features", (-1, channels, how.rows, how.columns), _FLOAT, "nchw"),)
    name = f"roi-{how.method}"

    def host(tensors: Tensors) -> Tensors:
        features = [tensors[f"features{i}"] for i in levels]
        return {"roi_features": pooled(how, features, tensors["boxes"])}

    def onnx() -> bytes:
        graph = OnnxGraph(name)
        found = _of_all(graph, how) if len(levels) > 1 else _of_level(graph, how, 0, "boxes")
        graph.node("Identity", found, output="roi_features")
        return graph.finish(inputs, outputs)

    parameters = {
        "rows": how.rows,
        "columns": how.columns,
        "levels": len(levels),
        "sampling": how.sampling,
    }
    return Kernel(name, parameters, inputs, outputs, host, onnx)


def _of_all(graph: OnnxGraph, how: Pooling) -> str:
    """What each level gives for its own boxes, in the order of all."""
    low, high = graph.part("boxes", 1, 0, 2), graph.part("boxes", 1, 2, 4)
    size = graph.node("Max", graph.node("Sub", high, low), 0.0)
    area = graph.node("Mul", graph.part(size, 1, 0, 1), graph.part(size, 1, 1, 2))
    above = graph.node("GreaterOrEqual", area, how.least_areas[None])
    above = graph.node("Cast", above, to=graph.dtype(np.int64))
    level = graph.node("ReduceSum", above, [1], keepdims=0)
    parts, places = [], []
    for i in range(len(how.strides)):
        where = graph.node("Squeeze", graph.node("NonZero", graph.node("Equal", level, i)), [0])
        boxes = graph.node("Gather", "boxes", where, axis=0)
        parts.append(_of_level(graph, how, i, boxes))
        places.append(where)
    place = graph.node("Concat", *places, axis=0)
    # The positions of 0, 1, 2 … among the places: where each box's features are now.
    _, order = graph.nodes(
        "TopK", place, graph.node("Shape", place), outputs=["", ""], axis=0, largest=0
    )
    return graph.node("Gather", graph.node("Concat", *parts, axis=0), order, axis=0)


def _of_level(graph: OnnxGraph, how: Pooling, level: int, boxes: str) -> str:
    """What boxes (n, 4) show on one level: (n, C, rows, columns)."""
    features, scale = f"features{level}", 1 / how.strides[level]
    if how.method == "pool":
        rois = graph.node("Pad", boxes, [0, 1, 0, 0])  # each begins with its picture's number: 0
        shape = [how.rows, how.columns]
        return graph.node("MaxRoiPool", features, rois, pooled_shape=shape, spatial_scale=scale)
    count = graph.part(graph.node("Shape", boxes), 0, 0, 1)
    return graph.node(
        "RoiAlign",
        features,
        boxes,
        graph.node("Expand", [0], count),  # all boxes lie in the first picture
        output_height=how.rows,
        output_width=how.columns,
        sampling_ratio=how.sampling,
        spatial_scale=scale,
        coordinate_transformation_mode="half_pixel",
    )

"""roi-align: the features under each proposal, in one size."""

from __future__ import annotations

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.detection.roi_align import roi_align as roi_align_on_host
from pipeline.kernels.onnx_graph import OnnxGraph

_FLOAT = np.dtype(np.float32)


def roi_align(channels: int, rows: int, columns: int, scale: float, sampling: int = 0) -> Kernel:
    """Aligned RoIAlign of one picture's features.

    Inputs: ``features`` (1, channels, H, W) float32 and ``boxes`` (N, 4) float32 xyxy in input
    pixels. Output ``roi_features``: (N, channels, rows, columns) float32. The two forms differ by
    rounding, 1e-5 of the largest feature.

    Args:
        channels: of the features.
        rows: of bins.
        columns: of bins.
        scale: feature cells a pixel.
        sampling: samples a bin along each axis; 0: one a cell, rounded up.
    """
    inputs = (
        TensorSpec("features", (1, channels, -1, -1), _FLOAT, "nchw"),
        TensorSpec("boxes", (-1, 4), _FLOAT),
    )
    outputs = (TensorSpec("roi_features", (-1, channels, rows, columns), _FLOAT, "nchw"),)

    def host(tensors: Tensors) -> Tensors:
        features, boxes = tensors["features"], tensors["boxes"]
        return {"roi_features": roi_align_on_host(features, boxes, rows, columns, scale, sampling)}

    def onnx() -> bytes:
        graph = OnnxGraph("roi-align")
        count = graph.part(graph.node("Shape", "boxes"), 0, 0, 1)
        batch = graph.node("Expand", [0], count)  # all boxes lie in the first picture
        graph.node(
            "RoiAlign",
            "features",
            "boxes",
            batch,
            output="roi_features",
            output_height=rows,
            output_width=columns,
            sampling_ratio=sampling,
            spatial_scale=scale,
            coordinate_transformation_mode="half_pixel",
        )
        return graph.finish(inputs, outputs)

    parameters = {"rows": rows, "columns": columns, "scale": scale, "sampling": sampling}
    return Kernel("roi-align", parameters, inputs, outputs, host, onnx)

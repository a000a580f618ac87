"""Boxes decoded from deltas inside a kernel's ONNX network, as `pipeline.detection.deltas` does."""

from __future__ import annotations

import numpy as np

from pipeline.detection.deltas import MAX_LOG_SIZE, Weights
from pipeline.kernels.onnx_graph import OnnxGraph


def decoded(
    graph: OnnxGraph, deltas: str, origins: str, weights: Weights, width: int, height: int
) -> tuple[str, str]:
    """The boxes that lie so far from others, cut to the picture.

    Args:
        graph: it becomes part of.
        deltas: (…, 4) dx, dy, dw, dh.
        origins: (…, 4) xyxy in input pixels.
        weights: by which the deltas are divided.
        width: of the network's input, pixels.
        height: of the network's input, pixels.

    Returns:
        Boxes (…, 4) xyxy and the shorter side of each (…), pixels.
    """
    low, high = graph.part(origins, -1, 0, 2), graph.part(origins, -1, 2, 4)
    size = graph.node("Sub", high, low)
    centre = graph.node("Add", low, graph.node("Mul", size, 0.5))
    moves = graph.node("Div", deltas, np.array(weights, np.float32))
    centre = graph.node("Add", graph.node("Mul", graph.part(moves, -1, 0, 2), size), centre)
    growth = graph.node("Exp", graph.node("Min", graph.part(moves, -1, 2, 4), MAX_LOG_SIZE))
    half = graph.node("Mul", graph.node("Mul", growth, size), 0.5)
    limits = (float(width), float(height))
    low, high = (
        graph.node("Min", graph.node("Max", corner, 0.0), limits)
        for corner in (graph.node("Sub", centre, half), graph.node("Add", centre, half))
    )
    size = graph.node("Sub", high, low)
    # Not ReduceMin, which ONNX Runtime 1.31 leaves undone where there are no boxes.
    side = graph.node("Min", graph.part(size, -1, 0, 1), graph.part(size, -1, 1, 2))
    return graph.node("Concat", low, high, axis=-1), graph.node("Squeeze", side, [-1])

"""proposals: a proposal network's outputs become the boxes to look closer at."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.detection.proposals import ProposalSpec, propose
from pipeline.kernels.deltas import decoded
from pipeline.kernels.onnx_graph import OnnxGraph

_FLOAT = np.dtype(np.float32)
OUTPUTS = (
    TensorSpec("boxes", (-1, 4), _FLOAT),
    TensorSpec("scores", (-1,), _FLOAT),
    TensorSpec("anchors", (-1, 4), _FLOAT),
)

#: Below every objectness there is.
EMPTY = -1e38


def proposals(
    spec: ProposalSpec, maps: Sequence[tuple[int, int]], width: int, height: int
) -> Kernel:
    """Decodes the anchors of one picture, clips, drops what is empty, and keeps the best.

    Inputs of level i: ``objectness<i>`` (1, A, rows, columns) and ``deltas<i>`` (1, 4 A, rows,
    columns), float32. Outputs, by falling score: ``boxes`` (K, 4) xyxy in input pixels, ``scores``
    (K,) and ``anchors`` (K, 4), from which the boxes came, float32. The two forms differ by
    rounding, and in the order of equal scores.

    Args:
        spec: how proposals are chosen.
        maps: rows and columns of each level's feature map.
        width: of the network's input, pixels.
        height: of the network's input, pixels.
    """
    levels = range(len(spec.levels))
    inputs = tuple(
        TensorSpec(f"{name}{i}", (1, factor * spec.levels[i].per_cell, *maps[i]), _FLOAT, "nchw")
        for i in levels
        for name, factor in (("objectness", 1), ("deltas", 4))
    )

    def host(tensors: Tensors) -> Tensors:
        objectness = [tensors[f"objectness{i}"] for i in levels]
        deltas = [tensors[f"deltas{i}"] for i in levels]
        found = propose(spec, objectness, deltas, width, height)
        return {
            "boxes": found.boxes_xyxy,
            "scores": found.objectness,
            "anchors": found.anchors_xyxy,
        }

    def onnx() -> bytes:
        graph = OnnxGraph("proposals")
        found = [_level(graph, spec, i, maps[i], width, height) for i in levels]
        picked = [_suppressed(graph, spec, *level) for level in found]
        boxes, scores, origins = (
            graph.node("Concat", *parts, axis=0) for parts in zip(*picked, strict=True)
        )
        most = graph.node("Min", graph.node("Shape", scores), [spec.keep])
        _, order = graph.nodes("TopK", scores, most, outputs=["scores", ""], axis=0)
        graph.node("Gather", boxes, order, axis=0, output="boxes")
        graph.node("Gather", origins, order, axis=0, output="anchors")
        return graph.finish(inputs, OUTPUTS)

    return Kernel("proposals", {"levels": len(levels)}, inputs, OUTPUTS, host, onnx)


def _level(
    graph: OnnxGraph,
    spec: ProposalSpec,
    level: int,
    shape: tuple[int, int],
    width: int,
    height: int,
) -> tuple[str, str, str]:
    """One level's candidates: boxes (n, 4), clipped; scores (n,), `EMPTY` where so; anchors."""
    anchors = spec.levels[level]
    count = prod(shape) * anchors.per_cell
    scores = graph.node("Transpose", f"objectness{level}", perm=[0, 2, 3, 1])
    scores = graph.node("Reshape", scores, [count])
    scores, best = graph.nodes(
        "TopK", scores, [min(spec.candidates, count)], outputs=["", ""], axis=0
    )
    moves = graph.node("Reshape", f"deltas{level}", [anchors.per_cell, 4, prod(shape)])
    moves = graph.node("Reshape", graph.node("Transpose", moves, perm=[2, 0, 1]), [count, 4])
    moves = graph.node("Gather", moves, best, axis=0)
    origins = graph.node("Gather", anchors.grid(*shape), best, axis=0)
    boxes, side = decoded(graph, moves, origins, spec.weights, width, height)
    scores = graph.node("Where", graph.node("Greater", side, 0.0), scores, EMPTY)
    return boxes, scores, origins


def _suppressed(
    graph: OnnxGraph, spec: ProposalSpec, boxes: str, scores: str, origins: str
) -> tuple[str, ...]:
    """Those of one level's boxes, scores and anchors that no better one covers."""
    picked = graph.node(
        "NonMaxSuppression",
        graph.node("Unsqueeze", boxes, [0]),
        graph.node("Unsqueeze", scores, [0, 1]),
        [spec.keep],
        [spec.nms_iou],
        [EMPTY / 2],
    )
    row = graph.node("Gather", picked, 2, axis=1)
    return tuple(graph.node("Gather", column, row, axis=0) for column in (boxes, scores, origins))

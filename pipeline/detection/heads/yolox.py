"""YOLOX: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.detection.boxes import cxcywh_to_xyxy
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import (
    OnnxHead,
    Outputs,
    Shapes,
    best_class,
    corners,
    expect_axis,
)
from pipeline.detection.heads.grid import cell_count, cells

if TYPE_CHECKING:
    from pipeline.kernels.onnx_graph import OnnxGraph

#: exp of more than this is no box of any picture, and exp of 89 is infinite.
MAX_LOG_SIZE = 20.0


class YoloxHead(OnnxHead):
    """Output (1, N, 5 + C): tx, ty, tw, th, objectness and class scores, sigmoid applied.

    With the cell (gx, gy) of a feature map of stride s: cx = (tx + gx) s, cy = (ty + gy) s,
    w = exp(tw) s, h = exp(th) s, score = objectness · class score.
    """

    family: Literal["yolox"]
    strides: tuple[int, ...] = (8, 16, 32)

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        rows = self.only(outputs)[0]
        grid, stride = cells(width, height, self.strides)
        (candidates,) = np.nonzero(rows[:, 4] >= min_score)
        rows = rows[candidates]
        scores, labels = best_class(rows[:, 4:5] * rows[:, 5:])
        good = scores >= min_score
        rows, candidates = rows[good], candidates[good]
        scale = stride[candidates]
        centres = (rows[:, :2] + grid[candidates]) * scale
        sizes = np.exp(np.minimum(rows[:, 2:4], MAX_LOG_SIZE)) * scale
        boxes = cxcywh_to_xyxy(np.concatenate([centres, sizes], axis=1))
        return Detections(boxes, scores[good], labels[good])

    def decode_onnx(
        self, graph: OnnxGraph, shapes: Shapes, width: int, height: int
    ) -> tuple[str, str]:
        rows = self.only_name(shapes)
        grid, stride = cells(width, height, self.strides)
        centres = graph.node("Add", graph.part(rows, 2, 0, 2), grid)
        sizes = graph.node("Exp", graph.node("Min", graph.part(rows, 2, 2, 4), MAX_LOG_SIZE))
        boxes = corners(graph, graph.node("Mul", centres, stride), graph.node("Mul", sizes, stride))
        objectness, classes = graph.part(rows, 2, 4, 5), graph.part(rows, 2, 5, shapes[rows][2])
        return boxes, graph.node("Mul", objectness, classes)

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        shape = self.only(shapes)
        expect_axis(shape, 2, 5 + classes, f"box, objectness and {classes} labels")
        if min(width, height) > 0:
            rows = cell_count(width, height, self.strides)
            expect_axis(shape, 1, rows, f"cells of a {width}x{height} input")

"""FastestDet: one feature map, one box a cell (github.com/dog-qiuqiu/FastestDet, its README)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.activations import sigmoid
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
from pipeline.detection.heads.grid import cells_of

if TYPE_CHECKING:
    from pipeline.kernels.onnx_graph import OnnxGraph


class FastestdetHead(OnnxHead):
    """Output (1, 5 + C, rows, columns): objectness, tx, ty, tw, th and class probabilities.

    In fractions of the input: cx = (gx + tanh tx) / columns, cy = (gy + tanh ty) / rows,
    w = sigmoid tw, h = sigmoid th; score = objectness^0.6 · class probability^0.4.
    """

    family: Literal["fastestdet"]

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        maps = self.only(outputs)[0]
        rows, columns = maps.shape[1:]
        cells = maps.reshape(len(maps), -1)
        # No class probability exceeds 1, so objectness^0.6 bounds the score.
        (candidates,) = np.nonzero(cells[0] >= min_score ** (1 / 0.6))
        found = cells[:, candidates]
        best, labels = best_class(found[5:].T)
        scores = found[0] ** np.float32(0.6) * best ** np.float32(0.4)
        good = scores >= min_score
        found, candidates = found[:, good], candidates[good]
        gy, gx = np.divmod(candidates, columns)
        cx = (gx + np.tanh(found[1])) / columns * width
        cy = (gy + np.tanh(found[2])) / rows * height
        w, h = sigmoid(found[3]) * width, sigmoid(found[4]) * height
        boxes = cxcywh_to_xyxy(np.stack([cx, cy, w, h], axis=1).astype(np.float32))
        return Detections(boxes, scores[good], labels[good])

    def decode_onnx(
        self, graph: OnnxGraph, shapes: Shapes, width: int, height: int
    ) -> tuple[str, str]:
        maps = self.only_name(shapes)
        _, channels, rows, columns = shapes[maps]
        cells = graph.node("Reshape", maps, [1, channels, rows * columns])
        cells = graph.node("Transpose", cells, perm=[0, 2, 1])
        shift = graph.node("Tanh", graph.part(cells, 2, 1, 3))
        centres = graph.node("Add", shift, cells_of(columns, rows))
        sizes = graph.node("Sigmoid", graph.part(cells, 2, 3, 5))
        boxes = corners(
            graph,
            graph.node("Mul", centres, [width / columns, height / rows]),
            graph.node("Mul", sizes, [float(width), float(height)]),
        )
        objectness = graph.node("Pow", graph.part(cells, 2, 0, 1), 0.6)
        classes = graph.node("Pow", graph.part(cells, 2, 5, channels), 0.4)
        return boxes, graph.node("Mul", objectness, classes)

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        shape = self.only(shapes)
        expect_axis(shape, 1, 5 + classes, f"objectness, box and {classes} labels")
        expect_axis(shape, 3, shape[-1], "columns")

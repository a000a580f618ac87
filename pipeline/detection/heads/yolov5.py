"""Exports in the style of YOLOv5: boxes are decoded inside the network, objectness is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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

if TYPE_CHECKING:
    from pipeline.kernels.onnx_graph import OnnxGraph


class Yolov5Head(OnnxHead):
    """Output (1, N, 5 + C): cx, cy, w, h in input pixels, objectness and class scores in 0..1.

    score = objectness · class score.
    """

    family: Literal["yolov5"]

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        rows = self.only(outputs)[0]
        rows = rows[rows[:, 4] >= min_score]
        scores, labels = best_class(rows[:, 4:5] * rows[:, 5:])
        good = scores >= min_score
        return Detections(cxcywh_to_xyxy(rows[good, :4]), scores[good], labels[good])

    def decode_onnx(
        self, graph: OnnxGraph, shapes: Shapes, width: int, height: int
    ) -> tuple[str, str]:
        rows = self.only_name(shapes)
        boxes = corners(graph, graph.part(rows, 2, 0, 2), graph.part(rows, 2, 2, 4))
        objectness, classes = graph.part(rows, 2, 4, 5), graph.part(rows, 2, 5, shapes[rows][2])
        return boxes, graph.node("Mul", objectness, classes)

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        expect_axis(self.only(shapes), 2, 5 + classes, f"box, objectness and {classes} labels")

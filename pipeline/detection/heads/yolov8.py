"""Exports in the style of YOLOv8: one column a box, no objectness."""

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


class Yolov8Head(OnnxHead):
    """Output (1, 4 + C, N): cx, cy, w, h in input pixels and class scores in 0..1."""

    family: Literal["yolov8"]

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        columns = self.only(outputs)[0]
        columns = columns[:, columns[4:].max(axis=0) >= min_score]
        scores, labels = best_class(columns[4:].T)
        return Detections(cxcywh_to_xyxy(columns[:4].T), scores, labels)

    def decode_onnx(
        self, graph: OnnxGraph, shapes: Shapes, width: int, height: int
    ) -> tuple[str, str]:
        columns = self.only_name(shapes)
        rows = graph.node("Transpose", columns, perm=[0, 2, 1])
        boxes = corners(graph, graph.part(rows, 2, 0, 2), graph.part(rows, 2, 2, 4))
        return boxes, graph.part(rows, 2, 4, shapes[columns][1])

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        expect_axis(self.only(shapes), 1, 4 + classes, f"box and {classes} labels")

"""Exports in the style of YOLOv8: one column a box, no objectness."""

from __future__ import annotations

from typing import Literal

from pipeline.detection.boxes import cxcywh_to_xyxy
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import Head, Outputs, Shapes, best_class, expect_axis


class Yolov8Head(Head):
    """Output (1, 4 + C, N): cx, cy, w, h in input pixels and class scores in 0..1."""

    family: Literal["yolov8"]

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        columns = self.only(outputs)[0]
        columns = columns[:, columns[4:].max(axis=0) >= min_score]
        scores, labels = best_class(columns[4:].T)
        return Detections(cxcywh_to_xyxy(columns[:4].T), scores, labels)

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        expect_axis(self.only(shapes), 1, 4 + classes, f"box and {classes} labels")

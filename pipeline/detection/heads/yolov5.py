"""Exports in the style of YOLOv5: boxes are decoded inside the network, objectness is kept."""

from __future__ import annotations

from typing import Literal

from pipeline.detection.boxes import cxcywh_to_xyxy
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import Head, Outputs, Shapes, best_class, expect_axis


class Yolov5Head(Head):
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

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        expect_axis(self.only(shapes), 2, 5 + classes, f"box, objectness and {classes} labels")

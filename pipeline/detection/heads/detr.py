"""DETR and RT-DETR: a set of objects, each query one.

Carion et al., "End-to-End Object Detection with Transformers", arXiv:2005.12872; Zhao et al.,
"DETRs Beat YOLOs on Real-time Object Detection", arXiv:2304.08069.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from pipeline.activations import sigmoid, softmax
from pipeline.detection.boxes import cxcywh_to_xyxy
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import (
    Head,
    Outputs,
    Shapes,
    best_class,
    expect_axis,
    named,
)


class DetrHead(Head):
    """Logits (1, N, C) and boxes (1, N, 4) as cx, cy, w, h in fractions of the input.

    `activation`: ``sigmoid`` as in RT-DETR, or ``softmax`` as in DETR, where the logits have one
    more column, last, for "no object".
    """

    needs_nms: ClassVar[bool] = False

    family: Literal["detr"]
    logits: str = "pred_logits"
    boxes: str = "pred_boxes"
    activation: Literal["sigmoid", "softmax"] = "sigmoid"

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        logits = named(outputs, self.logits)[0]
        probabilities = sigmoid(logits) if self.activation == "sigmoid" else softmax(logits)[:, :-1]
        scores, labels = best_class(probabilities)
        good = scores >= min_score
        size = np.array([width, height, width, height], np.float32)
        boxes = cxcywh_to_xyxy(named(outputs, self.boxes)[0][good] * size)
        return Detections(boxes, scores[good], labels[good])

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        columns = classes + (self.activation == "softmax")
        expect_axis(named(shapes, self.logits), 2, columns, f"{classes} labels")
        expect_axis(named(shapes, self.boxes), 2, 4, "a box")

"""Boxes that are boxes already: detectors that give them in input pixels."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.activations import sigmoid
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import Head, Outputs, Shapes, expect_axis, named

Margin = Annotated[float, Field(ge=0, lt=0.5)]


class BoxesHead(Head):
    """Boxes (1, N, 4) xyxy in input pixels with scores (1, N) and, for several classes, labels.

    `activation: sigmoid` maps an unbounded score, such as a distance from a separating plane, to
    0..1. `margin` is the part of a box's width and height that is background on either side and is
    cut off. Labels are counted from `first_label` on; without them every object has label 0.
    """

    family: Literal["boxes"]
    boxes: str = "boxes"
    scores: str = "scores"
    labels: str | None = None
    first_label: int = 0
    activation: Literal["none", "sigmoid"] = "none"
    margin: tuple[Margin, Margin] = (0.0, 0.0)

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        scores = named(outputs, self.scores)[0]
        if self.activation == "sigmoid":
            scores = sigmoid(scores)
        good = scores >= min_score
        boxes = named(outputs, self.boxes)[0][good]
        cut = (boxes[:, 2:] - boxes[:, :2]) * np.array(self.margin, np.float32)
        boxes = np.concatenate([boxes[:, :2] + cut, boxes[:, 2:] - cut], axis=1)
        if self.labels is None:
            return Detections(boxes, scores[good], np.zeros(len(boxes), np.int32))
        labels = named(outputs, self.labels)[0][good].astype(np.int32) - self.first_label
        return Detections(boxes, scores[good], labels)

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        expect_axis(named(shapes, self.boxes), 2, 4, "a box")
        named(shapes, self.scores)
        if self.labels is not None:
            named(shapes, self.labels)
        elif classes != 1:
            raise ValueError(f"head boxes names no labels output, so 1 label fits, not {classes}")

"""SSD with its post-processing inside the network, as TensorFlow's detection API exports it."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import Head, Outputs, Shapes, expect_axis, named


class SsdHead(Head):
    """Boxes (1, N, 4) as y1, x1, y2, x2 in fractions of the input, labels, scores and a count.

    Labels are counted from `first_label` on; rows beyond the count are padding.
    """

    needs_nms: ClassVar[bool] = False

    family: Literal["ssd"]
    boxes: str = "detection_boxes"
    labels: str = "detection_classes"
    scores: str = "detection_scores"
    count: str = "num_detections"
    first_label: int = 1

    def decode(self, outputs: Outputs, width: int, height: int, min_score: float) -> Detections:
        count = int(named(outputs, self.count).ravel()[0])
        scores = named(outputs, self.scores)[0, :count]
        good = scores >= min_score
        yxyx = named(outputs, self.boxes)[0, :count][good]
        size = np.array([width, height, width, height], np.float32)
        labels = named(outputs, self.labels)[0, :count][good].astype(np.int32)
        return Detections(yxyx[:, [1, 0, 3, 2]] * size, scores[good], labels - self.first_label)

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        expect_axis(named(shapes, self.boxes), 2, 4, "a box")
        for name in (self.labels, self.scores):
            expect_axis(named(shapes, name), 1, named(shapes, self.boxes)[1], "one a box")
        named(shapes, self.count)

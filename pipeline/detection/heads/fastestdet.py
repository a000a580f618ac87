"""FastestDet: one feature map, one box a cell (github.com/dog-qiuqiu/FastestDet, its README)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipeline.detection.boxes import cxcywh_to_xyxy
from pipeline.detection.detections import Detections
from pipeline.detection.heads.base import (
    Head,
    Outputs,
    Shapes,
    best_class,
    expect_axis,
    sigmoid,
)


class FastestdetHead(Head):
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

    def check(self, shapes: Shapes, classes: int, width: int, height: int) -> None:
        shape = self.only(shapes)
        expect_axis(shape, 1, 5 + classes, f"objectness, box and {classes} labels")
        expect_axis(shape, 3, shape[-1], "columns")

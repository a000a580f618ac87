"""The objects a detector found in one picture, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """N objects.

    Attributes:
        boxes_xyxy: (N, 4) float32, source pixels, continuous coordinates, x1 ≤ x2, y1 ≤ y2.
        scores: (N,) float32 in 0..1.
        labels: (N,) int32 index into the model's labels.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.scores)

    @staticmethod
    def empty() -> Detections:
        """No objects."""
        return Detections(
            np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32)
        )

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Detections:
        """The objects at `index` (positions in any order, or a mask)."""
        rows = index.nonzero()[0] if index.dtype == np.bool_ else index
        # Not `[rows]`, which takes five times as long for a few boxes.
        return Detections(
            self.boxes_xyxy.take(rows, 0), self.scores.take(rows), self.labels.take(rows)
        )

"""One sequence as the metrics see it: dense identities and the overlaps of every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.mot_files import MotTable
from pipeline.evaluation.overlap import iou_xywh, shared_frames


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One frame that has ground truth and results.

    Attributes:
        gt: (G,) int64, identities in the ground truth, dense from 0 over the sequence.
        result: (R,) int64, identities in the result, likewise.
        iou: (G, R) float64 in 0..1.
    """

    gt: NDArray[np.int64]
    result: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """What is to be compared, after preprocessing.

    Attributes:
        gt_boxes: (I,) int64, number of boxes of each ground-truth identity.
        result_boxes: (J,) int64, number of boxes of each result identity.
        steps: the frames that have both, in order of time.
    """

    gt_boxes: NDArray[np.int64]
    result_boxes: NDArray[np.int64]
    steps: tuple[Step, ...]

    @property
    def gt_total(self) -> int:
        """Boxes in the ground truth."""
        return int(self.gt_boxes.sum())

    @property
    def result_total(self) -> int:
        """Boxes in the result."""
        return int(self.result_boxes.sum())


def pair_up(gt: MotTable, result: MotTable) -> Sequence:
    """Puts a result beside its ground truth. Every row counts: preprocess first."""
    _, gt_ids, gt_boxes = np.unique(gt.ids, return_inverse=True, return_counts=True)
    _, result_ids, result_boxes = np.unique(result.ids, return_inverse=True, return_counts=True)
    steps = tuple(
        Step(gt_ids[i], result_ids[j], iou_xywh(gt.boxes_xywh[i], result.boxes_xywh[j]))
        for _, i, j in shared_frames(gt.frames, result.frames)
    )
    return Sequence(gt_boxes, result_boxes, steps)

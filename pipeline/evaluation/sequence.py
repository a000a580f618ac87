"""One sequence as the metrics see it: dense identities and the overlaps of every frame."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.mot_files import MotTable
from pipeline.evaluation.overlap import iou_xywh, shared_frames


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One frame that has ground truth and results.

    Attributes:
        frame: its number in the files.
        gt: (G,) int64, identities in the ground truth, dense from 0 over the sequence.
        result: (R,) int64, identities in the result, likewise.
        iou: (G, R) float64 in 0..1.
    """

    frame: int
    gt: NDArray[np.int64]
    result: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """What is to be compared, after preprocessing.

    Attributes:
        gt: the boxes of the ground truth.
        result: the boxes of the result.
        gt_ids: (I,) int64, the files' identities by their dense numbers.
        result_ids: (J,) int64, likewise.
        gt_boxes: (I,) int64, number of boxes of each ground-truth identity.
        result_boxes: (J,) int64, number of boxes of each result identity.
        steps: the frames that have both, in order of time.
    """

    gt: MotTable
    result: MotTable
    gt_ids: NDArray[np.int64]
    result_ids: NDArray[np.int64]
    gt_boxes: NDArray[np.int64]
    result_boxes: NDArray[np.int64]
    steps: tuple[Step, ...]


def pair_up(gt: MotTable, result: MotTable) -> Sequence:
    """Puts a result beside its ground truth. Every row counts: preprocess first."""
    gt_ids, gt_dense, gt_boxes = np.unique(gt.ids, return_inverse=True, return_counts=True)
    result_ids, dense, result_boxes = np.unique(result.ids, return_inverse=True, return_counts=True)
    steps = tuple(
        Step(frame, gt_dense[i], dense[j], iou_xywh(gt.boxes_xywh[i], result.boxes_xywh[j]))
        for frame, i, j in shared_frames(gt.frames, result.frames)
    )
    return Sequence(gt, result, gt_ids, result_ids, gt_boxes, result_boxes, steps)


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """M matched boxes of a sequence in order of time, as columns.

    Attributes:
        step: (M,) int64, position in `Sequence.steps`.
        gt: (M,) int64, dense identity in the ground truth.
        result: (M,) int64, dense identity in the result.
        iou: (M,) float64 in 0..1.
    """

    step: NDArray[np.int64]
    gt: NDArray[np.int64]
    result: NDArray[np.int64]
    iou: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Matches:
        """The matches at `index` (positions or a mask)."""
        return Matches(self.step[index], self.gt[index], self.result[index], self.iou[index])

    @staticmethod
    def of_steps(
        steps: Iterable[Step], pairs: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]]
    ) -> Matches:
        """From the matched rows and columns of each step's `iou`."""
        nobody = np.empty(0, np.int64)
        found = [Matches(nobody, nobody, nobody, np.empty(0))]
        for number, (step, (rows, columns)) in enumerate(zip(steps, pairs, strict=True)):
            at = np.full(len(rows), number)
            found.append(Matches(at, step.gt[rows], step.result[columns], step.iou[rows, columns]))
        return Matches(
            np.concatenate([part.step for part in found]),
            np.concatenate([part.gt for part in found]),
            np.concatenate([part.result for part in found]),
            np.concatenate([part.iou for part in found]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The boxes of a sequence in P groups; what is counted of each adds up to the sequence's.

    A match counts in the group of its object.

    Attributes:
        of_object: (I,) int64, the group of each ground-truth identity.
        gt_total: (P,) int64, boxes of the ground truth in each group.
        result_total: (P,) int64, boxes of the result.
    """

    of_object: NDArray[np.int64]
    gt_total: NDArray[np.int64]
    result_total: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gt_total)


def whole(sequence: Sequence) -> Groups:
    """All in one group."""
    everything = np.zeros(len(sequence.gt_ids), np.int64)
    return Groups(everything, np.array([len(sequence.gt)]), np.array([len(sequence.result)]))


def by_object(sequence: Sequence, matches: Matches, starts: Collection[int]) -> Groups:
    """A group for each object, then one for each stretch of time with the boxes on no object.

    Args:
        sequence: to be grouped.
        matches: which boxes of the result are on which object.
        starts: the frames at which another stretch begins, ascending.
    """
    begins = np.array(list(starts), np.int64)

    def in_each_stretch(frames: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(np.searchsorted(begins, frames, "right"), minlength=len(begins) + 1)

    frames = np.array([step.frame for step in sequence.steps], np.int64)
    objects = len(sequence.gt_ids)
    nowhere = in_each_stretch(sequence.result.frames) - in_each_stretch(frames[matches.step])
    return Groups(
        np.arange(objects),
        np.concatenate([sequence.gt_boxes, np.zeros_like(nowhere)]),
        np.concatenate([np.bincount(matches.gt, minlength=objects), nowhere]),
    )

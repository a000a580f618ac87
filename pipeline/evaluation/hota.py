"""HOTA, Higher Order Tracking Accuracy.

J. Luiten, A. Osep, P. Dendorfer, P. Torr, A. Geiger, L. Leal-Taixé, B. Leibe: "HOTA: A Higher Order
Metric for Evaluating Multi-Object Tracking", IJCV 129 (2021). For one localisation threshold,
with A(c) = TPA / (TPA + FNA + FPA) of the two identities that a match c joins,

    DetA = TP / (TP + FN + FP),   AssA = Σ A(c) / TP,   HOTA = sqrt(DetA · AssA).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.overlap import EPSILON, best_matches
from pipeline.evaluation.sequence import Sequence

ALPHAS: NDArray[np.float64] = np.arange(0.05, 0.99, 0.05)
"""(19,) localisation thresholds: 0.05, 0.10 … 0.95."""


@dataclass(frozen=True, slots=True, eq=False)
class Hota:
    """Sums per localisation threshold, (19,) each; those of several sequences can be added.

    Attributes:
        tp: matched boxes.
        fn: boxes of the ground truth without a match.
        fp: boxes of the result without a match.
        ass_a: sum of A(c), the association score of the identity pair, over the matches c.
        ass_re: the same for the association recall.
        ass_pr: the same for the association precision.
        iou: sum of the overlaps of the matches.
    """

    tp: NDArray[np.float64]
    fn: NDArray[np.float64]
    fp: NDArray[np.float64]
    ass_a: NDArray[np.float64]
    ass_re: NDArray[np.float64]
    ass_pr: NDArray[np.float64]
    iou: NDArray[np.float64]

    def __add__(self, other: Hota) -> Hota:
        return Hota(
            self.tp + other.tp,
            self.fn + other.fn,
            self.fp + other.fp,
            self.ass_a + other.ass_a,
            self.ass_re + other.ass_re,
            self.ass_pr + other.ass_pr,
            self.iou + other.iou,
        )

    def curves(self) -> dict[str, NDArray[np.float64]]:
        """Each score over `ALPHAS`, (19,) in 0..1. A score is its curve's mean."""
        matches = np.maximum(1, self.tp)
        det_a = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        ass_a = self.ass_a / matches
        return {
            "HOTA": np.sqrt(det_a * ass_a),
            "DetA": det_a,
            "AssA": ass_a,
            "DetRe": self.tp / np.maximum(1, self.tp + self.fn),
            "DetPr": self.tp / np.maximum(1, self.tp + self.fp),
            "AssRe": self.ass_re / matches,
            "AssPr": self.ass_pr / matches,
            "LocA": np.where(self.tp > 0, self.iou / matches, 1.0),
        }


def hota(sequence: Sequence) -> Hota:
    """Counts of one sequence."""
    gt, result, iou = _match(sequence)
    reached = iou >= ALPHAS[:, None] - EPSILON
    tp = reached.sum(axis=1).astype(np.float64)
    association = np.array([_association(sequence, gt[r], result[r]) for r in reached])
    return Hota(
        tp,
        sequence.gt_total - tp,
        sequence.result_total - tp,
        ass_a=association[:, 0],
        ass_re=association[:, 1],
        ass_pr=association[:, 2],
        iou=np.array([iou[r].sum() for r in reached]),
    )


def _match(
    sequence: Sequence,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of all frames: identity in the ground truth, identity in the result, overlap.

    Pairs of identities that go together over the whole sequence are preferred : the
    paper's matching maximises the final score. The threshold then only strikes pairs out.
    """
    alignment = _alignment(sequence)
    gt, result, iou = [], [], []
    for step in sequence.steps:
        rows, columns = best_matches(alignment[np.ix_(step.gt, step.result)] * step.iou)
        gt.append(step.gt[rows])
        result.append(step.result[columns])
        iou.append(step.iou[rows, columns])
    if not gt:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return np.concatenate(gt), np.concatenate(result), np.concatenate(iou)


def _alignment(sequence: Sequence) -> NDArray[np.float64]:
    """(I, J) how well two identities go together: a soft Jaccard index over all frames."""
    together = np.zeros((len(sequence.gt_boxes), len(sequence.result_boxes)))
    for step in sequence.steps:
        rivals = step.iou.sum(axis=0) + step.iou.sum(axis=1)[:, None] - step.iou
        share = np.divide(step.iou, rivals, out=np.zeros_like(rivals), where=rivals > EPSILON)
        together[np.ix_(step.gt, step.result)] += share
    return together / (sequence.gt_boxes[:, None] + sequence.result_boxes - together)


def _association(
    sequence: Sequence, gt: NDArray[np.int64], result: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Sums over matches of association score, recall and precision ."""
    pairs, count = np.unique(gt * len(sequence.result_boxes) + result, return_counts=True)
    gt_boxes = sequence.gt_boxes[pairs // max(1, len(sequence.result_boxes))]
    result_boxes = sequence.result_boxes[pairs % max(1, len(sequence.result_boxes))]
    weight = count.astype(np.float64) ** 2  # `count` matches, each scored count / size
    return (
        float((weight / (gt_boxes + result_boxes - count)).sum()),
        float((weight / gt_boxes).sum()),
        float((weight / result_boxes).sum()),
    )

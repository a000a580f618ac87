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
from pipeline.evaluation.sequence import Groups, Matches, Sequence

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


def hota(sequence: Sequence, groups: Groups) -> list[Hota]:
    """Counts of each group; the association of a match is that of the whole sequence."""
    matches = match(sequence)
    reached = matches.iou >= ALPHAS[:, None] - EPSILON
    sums = np.array([_sums(sequence, groups, matches.take(mask)) for mask in reached])
    return [
        Hota(tp, gt_total - tp, result_total - tp, ass_a, ass_re, ass_pr, iou)
        for gt_total, result_total, (tp, ass_a, ass_re, ass_pr, iou) in zip(
            groups.gt_total, groups.result_total, sums.transpose(2, 1, 0), strict=True
        )
    ]


def match(sequence: Sequence) -> Matches:
    """Matches every frame.

    Pairs of identities that go together over the whole sequence are preferred: the paper's
    matching maximises the final score. The threshold then only strikes pairs out.
    """
    alignment = _alignment(sequence)
    pairs = (best_matches(alignment[np.ix_(s.gt, s.result)] * s.iou) for s in sequence.steps)
    return Matches.of_steps(sequence.steps, pairs)


def _alignment(sequence: Sequence) -> NDArray[np.float64]:
    """(I, J) how well two identities go together: a soft Jaccard index over all frames."""
    together = np.zeros((len(sequence.gt_boxes), len(sequence.result_boxes)))
    for step in sequence.steps:
        rivals = step.iou.sum(axis=0) + step.iou.sum(axis=1)[:, None] - step.iou
        share = np.divide(step.iou, rivals, out=np.zeros_like(rivals), where=rivals > EPSILON)
        together[np.ix_(step.gt, step.result)] += share
    return together / (sequence.gt_boxes[:, None] + sequence.result_boxes - together)


def _sums(sequence: Sequence, groups: Groups, matches: Matches) -> NDArray[np.float64]:
    """(5, P) in each group: matches, and their association score, recall, precision and overlap."""
    _, pair, count = np.unique(
        matches.gt * len(sequence.result_boxes) + matches.result,
        return_inverse=True,
        return_counts=True,
    )
    together = count[pair]  # TPA; TPA + FNA and TPA + FPA are the sizes of the identities
    gt_boxes, result_boxes = sequence.gt_boxes[matches.gt], sequence.result_boxes[matches.result]
    values = (
        np.ones(len(matches)),
        together / (gt_boxes + result_boxes - together),
        together / gt_boxes,
        together / result_boxes,
        matches.iou,
    )
    group = groups.of_object[matches.gt]
    return np.array([np.bincount(group, value, minlength=len(groups)) for value in values])

"""The CLEAR MOT metrics.

K. Bernardin, R. Stiefelhagen: "Evaluating Multiple Object Tracking Performance: The CLEAR MOT
Metrics", EURASIP Journal on Image and Video Processing (2008); mostly tracked, partially tracked,
mostly lost: Y. Li, C. Huang, R. Nevatia: "Learning to Associate", CVPR (2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.overlap import best_matches, reaching
from pipeline.evaluation.sequence import Sequence

_CONTINUATION = 1000.0
"""Bonus of a pair that was matched in the frame before: it outweighs any gain in overlap."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Counts; those of several sequences can be added.

    Attributes:
        tp: matched boxes.
        fn: boxes of the ground truth without a match.
        fp: boxes of the result without a match.
        idsw: identity switches.
        frag: fragmentations: times a track is taken up again after it was interrupted.
        mt: identities of the ground truth covered for more than 80 % of their boxes.
        pt: those covered for 20 to 80 %.
        ml: those covered for less than 20 %.
        iou: sum of the overlaps of the matches.
    """

    tp: int
    fn: int
    fp: int
    idsw: int
    frag: int
    mt: int
    pt: int
    ml: int
    iou: float

    def __add__(self, other: Clear) -> Clear:
        return Clear(
            self.tp + other.tp,
            self.fn + other.fn,
            self.fp + other.fp,
            self.idsw + other.idsw,
            self.frag + other.frag,
            self.mt + other.mt,
            self.pt + other.pt,
            self.ml + other.ml,
            self.iou + other.iou,
        )

    @property
    def mota(self) -> float:
        """1 - (fn + fp + idsw) / boxes of the ground truth; may be negative."""
        return (self.tp - self.fp - self.idsw) / max(1, self.tp + self.fn)

    @property
    def motp(self) -> float:
        """Mean overlap of the matches, in 0..1."""
        return self.iou / max(1, self.tp)

    @property
    def recall(self) -> float:
        return self.tp / max(1, self.tp + self.fn)

    @property
    def precision(self) -> float:
        return self.tp / max(1, self.tp + self.fp)


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """M matches in order of time, as columns: step, both identities, overlap."""

    step: NDArray[np.int64]
    gt: NDArray[np.int64]
    result: NDArray[np.int64]
    iou: NDArray[np.float64]


def clear(sequence: Sequence, threshold: float = 0.5) -> Clear:
    """Counts of one sequence; a box matches from an overlap of `threshold` on."""
    matches = _match(sequence, threshold)
    tp = len(matches.step)
    idsw, frag = _interruptions(matches)
    coverage = np.bincount(matches.gt, minlength=len(sequence.gt_boxes)) / sequence.gt_boxes
    mt, ml = int((coverage > 0.8).sum()), int((coverage < 0.2).sum())
    return Clear(
        tp=tp,
        fn=sequence.gt_total - tp,
        fp=sequence.result_total - tp,
        idsw=idsw,
        frag=frag,
        mt=mt,
        pt=len(coverage) - mt - ml,
        ml=ml,
        iou=float(matches.iou.sum()),
    )


def _match(sequence: Sequence, threshold: float) -> _Matches:
    """Matches every frame; pairs of the frame before go on where their overlap still allows it.

    As in the reference evaluation, a frame without ground truth or without results does not count
    as "the frame before".
    """
    before = np.full(len(sequence.gt_boxes), -1)
    nobody = np.empty(0, np.int64)
    found = [_Matches(nobody, nobody, nobody, np.empty(0))]
    for number, step in enumerate(sequence.steps):
        possible = reaching(step.iou, threshold)
        continued = (before[step.gt][:, None] == step.result) & (possible > 0)
        rows, columns = best_matches(possible + _CONTINUATION * continued)
        before[:] = -1
        before[step.gt[rows]] = step.result[columns]
        at = np.full(len(rows), number)
        found.append(_Matches(at, step.gt[rows], step.result[columns], step.iou[rows, columns]))
    return _Matches(
        np.concatenate([m.step for m in found]),
        np.concatenate([m.gt for m in found]),
        np.concatenate([m.result for m in found]),
        np.concatenate([m.iou for m in found]),
    )


def _interruptions(matches: _Matches) -> tuple[int, int]:
    """Identity switches and fragmentations."""
    order = np.lexsort((matches.step, matches.gt))
    step, gt, result = matches.step[order], matches.gt[order], matches.result[order]
    same_object = np.diff(gt) == 0
    switched = same_object & (np.diff(result) != 0)
    resumed = same_object & (np.diff(step) > 1)
    return int(switched.sum()), int(resumed.sum())

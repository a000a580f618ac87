"""The CLEAR MOT metrics.

K. Bernardin, R. Stiefelhagen: "Evaluating Multiple Object Tracking Performance: The CLEAR MOT
Metrics", EURASIP Journal on Image and Video Processing (2008); mostly tracked, partially tracked,
mostly lost: Y. Li, C. Huang, R. Nevatia: "Learning to Associate", CVPR (2009).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.continuity import fragmentations, switches
from pipeline.evaluation.overlap import best_matches, reaching
from pipeline.evaluation.sequence import Groups, Matches, Sequence

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


def clear(sequence: Sequence, groups: Groups, threshold: float = 0.5) -> list[Clear]:
    """Counts of each group; a box matches from an overlap of `threshold` on."""
    matches = match(sequence, threshold)
    group = groups.of_object[matches.gt]
    tp = _count(groups, group)
    idsw = _count(groups, group[switches(matches)[1]])
    frag = _count(groups, group[fragmentations(matches)[1]])
    coverage = np.bincount(matches.gt, minlength=len(sequence.gt_boxes)) / sequence.gt_boxes
    mt = _count(groups, groups.of_object[coverage > 0.8])
    ml = _count(groups, groups.of_object[coverage < 0.2])
    pt = _count(groups, groups.of_object) - mt - ml
    iou = np.bincount(group, matches.iou, minlength=len(groups))
    counts = (tp, groups.gt_total - tp, groups.result_total - tp, idsw, frag, mt, pt, ml, iou)
    return [Clear(*row) for row in zip(*(column.tolist() for column in counts), strict=True)]


def match(sequence: Sequence, threshold: float = 0.5) -> Matches:
    """Matches every frame; pairs of the frame before go on where their overlap still allows it.

    As in the reference evaluation, a frame without ground truth or without results does not count
    as "the frame before".
    """
    return Matches.of_steps(sequence.steps, _pairs(sequence, threshold))


def _pairs(
    sequence: Sequence, threshold: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    before = np.full(len(sequence.gt_boxes), -1)
    for step in sequence.steps:
        possible = reaching(step.iou, threshold)
        continued = (before[step.gt][:, None] == step.result) & (possible > 0)
        rows, columns = best_matches(possible + _CONTINUATION * continued)
        before[:] = -1
        before[step.gt[rows]] = step.result[columns]
        yield rows, columns


def _count(groups: Groups, of: NDArray[np.int64]) -> NDArray[np.int64]:
    """(P,) how often each group occurs."""
    return np.bincount(of, minlength=len(groups))

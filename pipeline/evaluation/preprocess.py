"""What is scored: rows that do not count are taken out of ground truth and result.

The rules of MOTChallenge: A. Milan, L. Leal-Taixé, I. Reid, S. Roth, K. Schindler: "MOT16: A
Benchmark for Multi-Object Tracking", arXiv:1603.00831; L. Leal-Taixé et al.: "MOTChallenge 2015:
Towards a Benchmark for Multi-Target Tracking", arXiv:1504.01942; P. Dendorfer et al.: "MOT20: A
benchmark for multi object tracking in crowded scenes", arXiv:2003.09003.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.evaluation.mot_files import ANY_CLASS, MotTable, of_classes
from pipeline.evaluation.overlap import (
    best_matches,
    iou_xywh,
    reaching,
    share_inside,
    shared_frames,
)

PEDESTRIAN = 1
MOT17_CLASSES = range(1, 14)
MOT17_DISTRACTORS = (2, 7, 8, 12)
"""Person on a vehicle, static person, distractor, reflection: finding one does not count."""
MOT20_DISTRACTORS = (*MOT17_DISTRACTORS, 6)
"""In MOT20 a vehicle without motor, too."""


class Benchmark(StrEnum):
    """Whose rules decide what counts."""

    SIMPLE = "simple"
    MOT15 = "MOT15"
    MOT17 = "MOT17"
    MOT20 = "MOT20"


def preprocess(
    gt: MotTable,
    result: MotTable,
    benchmark: Benchmark = Benchmark.SIMPLE,
    classes: Collection[int] = (),
) -> tuple[MotTable, MotTable]:
    """Ground truth and result without the rows that do not count.

    - ``simple``: rows of other classes than `classes` (where given) are out on both sides; a row
      without a class is of any. Ground-truth rows flagged 0 are ignore regions: a result is not
      counted if its best match is one, or if it matches nothing and lies in one for more than half.
    - ``MOT15``: ground-truth rows flagged 0 are out.
    - ``MOT17`` (and MOT16): only pedestrians flagged 1 are scored; a result whose best match is a
      distractor is not counted.
    - ``MOT20``: as MOT17, with one more kind of distractor.

    Raises:
        DataError: a class that the benchmark does not have.
    """
    if benchmark is Benchmark.SIMPLE:
        return _simple(of_classes(gt, classes), of_classes(result, classes))
    if classes:
        raise DataError(f"{benchmark} scores pedestrians only; classes need the simple rules")
    _check_classes(result, range(ANY_CLASS, PEDESTRIAN + 1), benchmark)
    if benchmark is Benchmark.MOT15:
        return gt.take(gt.scores != 0), result
    _check_classes(gt, MOT17_CLASSES, benchmark)
    mot20 = benchmark is Benchmark.MOT20
    excused = np.isin(gt.classes, MOT20_DISTRACTORS if mot20 else MOT17_DISTRACTORS)
    counted = (gt.scores != 0) & (gt.classes == PEDESTRIAN)
    partner = _partners(gt, result)
    return gt.take(counted), result.take(~_has_partner(partner, excused))


def _simple(gt: MotTable, result: MotTable) -> tuple[MotTable, MotTable]:
    ignored = gt.scores == 0
    if not ignored.any():
        return gt, result
    partner = _partners(gt, result)
    excused = _has_partner(partner, ignored)
    excused |= (partner < 0) & _lies_inside(result, gt.take(ignored))
    return gt.take(~ignored), result.take(~excused)


def _partners(gt: MotTable, result: MotTable) -> NDArray[np.intp]:
    """(M,) row of `gt` that each result matches best with an overlap of 0.5 or more, else -1."""
    partner = np.full(len(result), -1, np.intp)
    for _, i, j in shared_frames(gt.frames, result.frames):
        rows, columns = best_matches(
            reaching(iou_xywh(gt.boxes_xywh[i], result.boxes_xywh[j]), 0.5)
        )
        partner[j[columns]] = i[rows]
    return partner


def _has_partner(partner: NDArray[np.intp], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(M,) whether the partner is one of the chosen rows."""
    return np.isin(partner, np.flatnonzero(chosen))


def _lies_inside(result: MotTable, regions: MotTable) -> NDArray[np.bool_]:
    """(M,) whether more than half of the box lies in one region of its frame."""
    inside = np.zeros(len(result), np.bool_)
    for _, i, j in shared_frames(regions.frames, result.frames):
        share = share_inside(result.boxes_xywh[j], regions.boxes_xywh[i])
        inside[j] = (share > 0.5).any(axis=1)
    return inside


def _check_classes(table: MotTable, allowed: range, benchmark: Benchmark) -> None:
    wrong = np.setdiff1d(table.classes, allowed)
    if len(wrong):
        raise DataError(
            f"{table.source}: class {wrong[0]} does not exist in {benchmark}, which has "
            f"{allowed[0]} to {allowed[-1]}; other classes need the simple rules"
        )

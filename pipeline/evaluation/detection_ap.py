"""Average precision of detections.

T.-Y. Lin et al.: "Microsoft COCO: Common Objects in Context", ECCV (2014), with the definition on
https://cocodataset.org/#detection-eval: precision, made monotone, sampled at 101 recall levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.evaluate import Rules
from pipeline.evaluation.mot_files import ANY_CLASS, MotTable, of_classes
from pipeline.evaluation.overlap import EPSILON, iou_xywh, reaching, share_inside, shared_frames
from pipeline.evaluation.preprocess import Benchmark, preprocess

_RECALL_LEVELS = np.linspace(0, 1, 101)
_MISS, _HIT, _IGNORED = 0, 1, 2


def average_precision(gt: MotTable, detections: MotTable, iou: float = 0.5) -> float:
    """AP in 0..1 of the detections of one class, or of all classes taken as one.

    Ground-truth rows flagged 0 are ignore regions (COCO's crowds): they need not be found, and a
    detection that finds nothing else and lies in one for a share of at least `iou` is not counted.

    Args:
        gt: objects; identities do not matter.
        detections: with scores in any range, higher is surer.
        iou: overlap from which a detection is a hit.

    Returns:
        NaN where there is nothing to find.
    """
    wanted = int((gt.scores != 0).sum())
    if not wanted:
        return float("nan")
    outcome = _outcomes(gt, detections, iou)
    order = np.lexsort((detections.frames, -detections.scores))
    hits = outcome[order][outcome[order] != _IGNORED] == _HIT
    found = np.cumsum(hits)
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    level = np.searchsorted(found / wanted, _RECALL_LEVELS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(level, len(precision))].mean())


def average_precisions(gt: MotTable, detections: MotTable, iou: float = 0.5) -> dict[int, float]:
    """AP of every class that has something to find; their mean is the mAP.

    Where one side does not say classes at all, everything is one class, `ANY_CLASS`. Rows without
    a class beside rows with one (an ignore region, say) count for every class.
    """
    for table in (gt, detections):
        if (table.classes == ANY_CLASS).all():
            return {ANY_CLASS: average_precision(gt, detections, iou)}
    wanted = np.unique(gt.classes[(gt.scores != 0) & (gt.classes != ANY_CLASS)]).tolist()
    return {
        label: average_precision(of_classes(gt, [label]), of_classes(detections, [label]), iou)
        for label in wanted
    }


def summary(gt: MotTable, detections: MotTable, rules: Rules) -> dict[str, float]:
    """AP by its usual name (``AP50`` at an overlap of 0.5), then of each class if several.

    In percent; the first is the mean over the classes.
    """
    if rules.benchmark is Benchmark.SIMPLE:
        gt, detections = of_classes(gt, rules.classes), of_classes(detections, rules.classes)
    else:
        gt, detections = preprocess(gt, detections, rules.benchmark, rules.classes)
    name = f"AP{100 * rules.iou:g}"
    by_class = average_precisions(gt, detections, rules.iou)
    values = [100 * value for value in by_class.values()] or [float("nan")]
    scores = {name: float(np.mean(values))}
    if len(by_class) > 1:
        scores |= {f"{name}.{k}": v for k, v in zip(by_class, values, strict=True)}
    return scores


def _outcomes(gt: MotTable, detections: MotTable, iou: float) -> NDArray[np.int64]:
    """(M,) hit, miss or ignored, for each detection."""
    outcome = np.full(len(detections), _MISS)
    for _, i, j in shared_frames(gt.frames, detections.frames):
        ranked = j[np.argsort(-detections.scores[j], kind="stable")]
        boxes, objects, region = detections.boxes_xywh[ranked], gt.boxes_xywh[i], gt.scores[i] == 0
        found = _find(iou_xywh(boxes, objects[~region]), iou)
        in_region = (share_inside(boxes, objects[region]) >= iou - EPSILON).any(axis=1)
        outcome[ranked] = np.where(found, _HIT, np.where(in_region, _IGNORED, _MISS))
    return outcome


def _find(overlap: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Whether each detection in turn, the surest first, gets the free object it overlaps most."""
    free = reaching(overlap, threshold)
    found = np.zeros(len(free), np.bool_)
    for row in np.flatnonzero(free.any(axis=1)):
        taken = free[row].argmax()
        if free[row, taken] > 0:
            found[row] = True
            free[:, taken] = 0
    return found

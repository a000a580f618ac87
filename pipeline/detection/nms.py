"""Non-maximum suppression: of boxes that cover the same object, the best stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.boxes import intersection_and_union

#: Boxes looked at together: one step needs BLOCK² overlaps, which should stay in the cache.
BLOCK = 256


def nms(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
    iou: float,
    limit: int | None = None,
) -> NDArray[np.intp]:
    """Greedy suppression: a box falls if a better one that stays overlaps it by more than `iou`.

    Boxes are taken in blocks of falling score. Inside a block the greedy answer is found as the
    fixed point of "stays = not overlapped by one that stays" (Zheng et al., "Enhancing Geometric
    Factors in Model Learning and Inference for Object Detection and Instance Segmentation",
    arXiv:2005.03572, cluster NMS), so there is no loop over boxes and the result is exact.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,), finite; among equal ones the first stays.
        labels: (N,); boxes of different labels never suppress each other. None: all are alike.
        iou: 0..1; an overlap of exactly `iou` suppresses nothing.
        limit: stop when this many stay.

    Returns:
        Positions of those that stay, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    kept = np.empty(0, np.intp)
    for start in range(0, len(order), BLOCK):
        if limit is not None and len(kept) >= limit:
            break
        block = order[start : start + BLOCK]
        for first in range(0, len(kept), BLOCK):
            better = kept[first : first + BLOCK]
            block = block[~_overlap(boxes_xyxy, labels, better, block, iou).any(axis=0)]
        hits = np.triu(_overlap(boxes_xyxy, labels, block, block, iou), k=1)
        kept = np.concatenate([kept, block[_unsuppressed(hits)]])
    return kept[:limit]


def _overlap(
    boxes_xyxy: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
    better: NDArray[np.intp],
    worse: NDArray[np.intp],
    iou: float,
) -> NDArray[np.bool_]:
    """(len(better), len(worse)): whether the first would suppress the second."""
    intersection, union = intersection_and_union(boxes_xyxy[better], boxes_xyxy[worse])
    union *= iou
    hits: NDArray[np.bool_] = intersection > union
    if labels is not None:
        hits &= labels[better][:, None] == labels[worse]
    return hits


def _unsuppressed(hits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Who stays, given strictly upper triangular `hits[i, j]`: i suppresses j."""
    stays: NDArray[np.bool_]
    stays = np.logical_not(np.logical_or.reduce(hits, axis=0))
    while True:
        again = np.logical_not(np.logical_or.reduce(hits[stays], axis=0))
        if np.array_equal(again, stays):
            return stays
        stays = again

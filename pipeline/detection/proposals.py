"""Proposals: the boxes in which a two-stage detector's second network looks closer.

Ren et al., "Faster R-CNN", arXiv:1506.01497, section 3; over the levels of a pyramid as in Lin et
al., arXiv:1612.03144.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.anchors import Anchors
from pipeline.detection.boxes import clip
from pipeline.detection.deltas import Weights, decode
from pipeline.detection.nms import nms

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ProposalSpec:
    """How proposals are chosen.

    Attributes:
        levels: the anchors of each feature map.
        weights: of the deltas, see `decode`.
        candidates: the best of each level that are looked at.
        nms_iou: proposals of a level that overlap by more are one.
        keep: how many there are at most.
    """

    levels: tuple[Anchors, ...]
    weights: Weights = (1.0, 1.0, 1.0, 1.0)
    candidates: int = 1000
    nms_iou: float = 0.7
    keep: int = 100


def propose(
    spec: ProposalSpec,
    objectness: Sequence[Floats],
    deltas: Sequence[Floats],
    width: int,
    height: int,
) -> tuple[Floats, Floats]:
    """The best proposals of one picture.

    Args:
        spec: how they are chosen.
        objectness: of each level (1, A, rows, columns), logits or probabilities.
        deltas: of each level (1, 4 A, rows, columns): dx, dy, dw, dh of each anchor.
        width: of the network's input, pixels.
        height: of the network's input, pixels.

    Returns:
        Boxes (K, 4) xyxy in input pixels, inside the picture, none empty, and their objectness
        (K,), by falling objectness; float32.

    Raises:
        ValueError: a level's outputs do not fit its anchors.
    """
    found = [
        _candidates(spec, anchors, logits, moves, width, height)
        for anchors, logits, moves in zip(spec.levels, objectness, deltas, strict=True)
    ]
    boxes = np.concatenate([boxes for boxes, _ in found])
    scores = np.concatenate([scores for _, scores in found])
    levels = np.repeat(np.arange(len(found), dtype=np.int32), [len(s) for _, s in found])
    best = nms(boxes, scores, levels if len(found) > 1 else None, spec.nms_iou, spec.keep)
    return boxes[best], scores[best]


def _candidates(
    spec: ProposalSpec, anchors: Anchors, logits: Floats, moves: Floats, width: int, height: int
) -> tuple[Floats, Floats]:
    """The best boxes of one level, decoded and clipped, without the empty ones."""
    rows, columns = logits.shape[2:]
    expected = (1, anchors.per_cell, rows, columns), (1, 4 * anchors.per_cell, rows, columns)
    if (logits.shape, moves.shape) != expected:
        raise ValueError(
            f"with {anchors.per_cell} anchors a cell, objectness and deltas should have the shapes "
            f"{expected[0]} and {expected[1]}, found {logits.shape} and {moves.shape}"
        )
    scores = logits[0].transpose(1, 2, 0).ravel()
    best = _best(scores, spec.candidates)
    cell, anchor = np.divmod(best, anchors.per_cell)
    deltas = moves.reshape(anchors.per_cell, 4, -1)[anchor, :, cell]
    boxes = decode(deltas, anchors.grid(rows, columns)[best], spec.weights)
    boxes = clip(boxes, width, height)
    good = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return boxes[good], scores[best][good]


def _best(scores: Floats, count: int) -> NDArray[np.intp]:
    """Positions of the `count` highest scores, by falling score; the first among equals."""
    if len(scores) > count:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = np.flatnonzero(scores > least)
        level = np.flatnonzero(scores == least)[: count - len(above)]
        some = np.sort(np.concatenate([above, level]))
        return some[np.argsort(-scores[some], kind="stable")]
    return np.argsort(-scores, kind="stable")

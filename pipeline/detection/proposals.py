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


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """N boxes to look closer at, in one picture.

    Attributes:
        boxes_xyxy: (N, 4) float32, continuous coordinates; none empty.
        objectness: (N,) float32 as the network gave it, logits or probabilities.
        anchors_xyxy: (N, 4) float32, the anchor that each came from; not clipped.
    """

    boxes_xyxy: Floats
    objectness: Floats
    anchors_xyxy: Floats

    def __len__(self) -> int:
        return len(self.objectness)

    @staticmethod
    def empty() -> Proposals:
        """No proposals."""
        none = np.empty((0, 4), np.float32)
        return Proposals(none, np.empty(0, np.float32), none)

    def take(self, index: NDArray[np.intp]) -> Proposals:
        """Those at `index`, positions in any order."""
        return Proposals(
            self.boxes_xyxy.take(index, 0),
            self.objectness.take(index),
            self.anchors_xyxy.take(index, 0),
        )


def propose(
    spec: ProposalSpec,
    objectness: Sequence[Floats],
    deltas: Sequence[Floats],
    width: int,
    height: int,
) -> Proposals:
    """The best proposals of one picture.

    Args:
        spec: how they are chosen.
        objectness: of each level (1, A, rows, columns), logits or probabilities.
        deltas: of each level (1, 4 A, rows, columns): dx, dy, dw, dh of each anchor.
        width: of the network's input, pixels.
        height: of the network's input, pixels.

    Returns:
        At most `spec.keep`, in input pixels, clipped to the picture, by falling objectness.

    Raises:
        ValueError: a level's outputs do not fit its anchors or the picture, or are not finite.
    """
    given = len(objectness), len(deltas)
    if given != (len(spec.levels),) * 2:
        raise ValueError(
            f"there are anchors for {len(spec.levels)} levels, but objectness of {given[0]} and "
            f"deltas of {given[1]}; write one entry a level"
        )
    outputs = list(zip(spec.levels, objectness, deltas, strict=True))
    for level, one in enumerate(outputs):
        _check(level, *one, width, height)
    found = [_candidates(spec, *one, width, height) for one in outputs]
    every = _joined(found)
    levels = np.repeat(np.arange(len(found), dtype=np.int32), [len(level) for level in found])
    labels = levels if len(found) > 1 else None
    return every.take(nms(every.boxes_xyxy, every.objectness, labels, spec.nms_iou, spec.keep))


def _check(
    level: int, anchors: Anchors, logits: Floats, moves: Floats, width: int, height: int
) -> None:
    """Raises `ValueError` unless a level's outputs belong to its anchors and the picture."""
    count, (rows, columns) = anchors.per_cell, logits.shape[-2:]
    expected = (1, count, rows, columns), (1, 4 * count, rows, columns)
    if (logits.shape, moves.shape) != expected:
        raise ValueError(
            f"level {level}: {len(anchors.sizes)} sizes in {len(anchors.ratios)} ratios are "
            f"{count} anchors a cell, so objectness and deltas should have the shapes "
            f"{expected[0]} and {expected[1]}, found {logits.shape} and {moves.shape}; write "
            f"the sizes and ratios that the network was trained with"
        )
    if not anchors.fit(rows, columns, width, height):
        raise ValueError(
            f"level {level}: at stride {anchors.stride} an input of {width}x{height} pixels "
            f"should have {height / anchors.stride:g} rows and {width / anchors.stride:g} "
            f"columns, rounded up or down, found {rows} and {columns}; correct the level's "
            f"stride, or the order of the levels"
        )


def _joined(parts: Sequence[Proposals]) -> Proposals:
    return Proposals(
        np.concatenate([part.boxes_xyxy for part in parts]),
        np.concatenate([part.objectness for part in parts]),
        np.concatenate([part.anchors_xyxy for part in parts]),
    )


def _candidates(
    spec: ProposalSpec, anchors: Anchors, logits: Floats, moves: Floats, width: int, height: int
) -> Proposals:
    """The best boxes of one level, decoded and clipped, without the empty ones."""
    rows, columns = logits.shape[2:]
    scores = logits[0].transpose(1, 2, 0).ravel()
    best = _best(scores, spec.candidates)
    cell, anchor = np.divmod(best, anchors.per_cell)
    deltas = moves.reshape(anchors.per_cell, 4, -1)[anchor, :, cell]
    if not (np.isfinite(scores).all() and np.isfinite(deltas).all()):
        raise ValueError(f"objectness or deltas at stride {anchors.stride} are not finite")
    origins = anchors.grid(rows, columns)[best]
    boxes = clip(decode(deltas, origins, spec.weights), width, height)
    good = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    return Proposals(boxes, scores[best], origins).take(good)


def _best(scores: Floats, count: int) -> NDArray[np.intp]:
    """Positions of the `count` highest scores, by falling score; the first among equals."""
    if len(scores) > count:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = np.flatnonzero(scores > least)
        level = np.flatnonzero(scores == least)[: count - len(above)]
        some = np.sort(np.concatenate([above, level]))
        return some[np.argsort(-scores[some], kind="stable")]
    return np.argsort(-scores, kind="stable")

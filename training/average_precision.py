"""Average precision at an overlap of 0.5, with objects that are neither right nor wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.boxes import overlaps

_IOU = 0.5


@dataclass(frozen=True)
class Scored:
    """The detections of one frame and its truth."""

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    truth_xyxy: NDArray[np.float32]
    truth_labels: NDArray[np.int32]
    counts: NDArray[np.bool_]
    """(M,): False for truth that is ignored, together with detections upon it."""


def average_precision(frames: list[Scored], label: int) -> float | None:
    """Returns the area under the precision-recall curve of one label, None if it never appears."""
    wanted = sum(int((frame.counts & (frame.truth_labels == label)).sum()) for frame in frames)
    if not wanted:
        return None
    rows = np.concatenate([_judged(frame, label) for frame in frames])
    right = rows[np.argsort(-rows[:, 0], kind="stable"), 1]
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    # Precision is read as the best still to be had at this recall or more.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * right).sum() / wanted)


def _judged(frame: Scored, label: int) -> NDArray[np.float64]:
    """Returns (K, 2): score, and 1 if right or 0 if wrong, of the detections that count."""
    found = np.flatnonzero(frame.labels == label)
    found = found[np.argsort(-frame.scores[found], kind="stable")]
    truth = np.flatnonzero(frame.truth_labels == label)
    overlap = overlaps(frame.boxes_xyxy[found], frame.truth_xyxy[truth])
    free = np.ones(len(truth), bool)
    judged = []
    for row, detection in enumerate(found):
        right = np.where(free & frame.counts[truth], overlap[row], 0.0)
        if right.size and right.max() >= _IOU:
            free[right.argmax()] = False
            judged.append((frame.scores[detection], 1.0))
        elif not (overlap[row][~frame.counts[truth]] >= _IOU).any():
            judged.append((frame.scores[detection], 0.0))
    return np.array(judged, np.float64).reshape(-1, 2)

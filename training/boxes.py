"""From the detector's raw output to boxes, in plain numpy: the check on what the pipeline does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)


def decode(
    raw: NDArray[np.float32], height: int, width: int, score: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Returns boxes (N, 4) xyxy network pixels, scores (N,), labels (N,) above `score`.

    Args:
        raw: (A, 5 + C): tx, ty, tw, th, objectness, classes; cells row by row, strides in turn.
        height: of the network's input, pixels.
        width: of the network's input, pixels.
        score: least objectness times class probability.
    """
    kinds = raw[:, 4:5] * raw[:, 5:]
    labels = kinds.argmax(1)
    scores = kinds[np.arange(len(kinds)), labels]
    kept = np.flatnonzero(scores >= score)
    cells, strides = _grid(height, width)
    centre = (raw[kept, :2] + cells[kept]) * strides[kept]
    half = np.exp(raw[kept, 2:4].clip(-6, 6)) * strides[kept] / 2
    boxes = np.concatenate((centre - half, centre + half), 1)
    boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
    return boxes.astype(np.float32), scores[kept], labels[kept]


def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        cells.append(np.stack((columns, rows), -1).reshape(-1, 2))
        strides.append(np.full((len(cells[-1]), 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def overlaps(a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the intersection over union of every pair, (len(a), len(b))."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area_a = (a_xyxy[:, 2:] - a_xyxy[:, :2]).prod(-1)
    area_b = (b_xyxy[:, 2:] - b_xyxy[:, :2]).prod(-1)
    return np.asarray(shared / (area_a[:, None] + area_b[None] - shared + 1e-9), np.float32)


def suppress(
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    iou: float,
) -> NDArray[np.intp]:
    """Returns the rows that greedy non-maximum suppression per label keeps, best first."""
    order = np.argsort(-scores, kind="stable")
    overlap = overlaps(boxes_xyxy, boxes_xyxy)
    rival = (overlap > iou) & (labels[:, None] == labels[None])
    gone = np.zeros(len(order), bool)
    kept = []
    for row in order:
        if not gone[row]:
            kept.append(row)
            gone |= rival[row]
    return np.array(kept, np.intp)

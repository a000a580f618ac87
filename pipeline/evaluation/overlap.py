"""Overlap of boxes, frame by frame, and the best one-to-one matching under it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

EPSILON = float(np.finfo(np.float64).eps)
"""Slack of every threshold, so that an overlap of exactly the threshold counts as reaching it."""


def iou_xywh(a_xywh: NDArray[np.float64], b_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every pair.

    Args:
        a_xywh: (N, 4) left, top, width, height in pixels.
        b_xywh: (M, 4) likewise.

    Returns:
        (N, M) in 0..1; 0 where a box has no area.
    """
    shared, a_area, b_area = _areas(a_xywh, b_xywh)
    union = a_area[:, None] + b_area[None, :] - shared
    return _ratio(shared, union)


def share_inside(a_xywh: NDArray[np.float64], b_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of each box of `a` that lies inside each box of `b`; (N, M) in 0..1."""
    shared, a_area, _ = _areas(a_xywh, b_xywh)
    return _ratio(shared, np.broadcast_to(a_area[:, None], shared.shape))


def _areas(
    a_xywh: NDArray[np.float64], b_xywh: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shared area of every pair, area of every box of `a` and of `b`."""
    # The corner is rounded before the area is taken, as in the reference; an overlap that is
    # exactly on a threshold then falls on the same side.
    a_low, a_high = a_xywh[:, :2], a_xywh[:, :2] + a_xywh[:, 2:]
    b_low, b_high = b_xywh[:, :2], b_xywh[:, :2] + b_xywh[:, 2:]
    low = np.maximum(a_low[:, None], b_low[None])
    high = np.minimum(a_high[:, None], b_high[None])
    shared = np.maximum(high - low, 0).prod(axis=2)
    return shared, (a_high - a_low).prod(axis=1), (b_high - b_low).prod(axis=1)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros_like(part)
    return np.divide(part, whole, out=out, where=(part > 0) & (whole > EPSILON))


def best_matches(score: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the one-to-one matching of largest sum; pairs of score 0 are left out."""
    rows, columns = linear_sum_assignment(score, maximize=True)
    matched = score[rows, columns] > EPSILON
    return rows[matched], columns[matched]


def reaching(iou: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """The overlaps that reach the threshold; the others as 0."""
    return np.where(iou >= threshold - EPSILON, iou, 0.0)


def shared_frames(
    a_frames: NDArray[np.int64], b_frames: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
    """Each frame that both tables have, in order of time, with its rows in `a` and in `b`.

    Rows of one frame keep the order of their table.
    """
    common = np.intersect1d(a_frames, b_frames)
    a_rows, b_rows = (_rows_of(frames, common) for frames in (a_frames, b_frames))
    yield from zip(common.tolist(), a_rows, b_rows, strict=True)


def _rows_of(frames: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    order = np.argsort(frames, kind="stable")
    ordered = frames[order]
    starts = np.searchsorted(ordered, wanted, "left")
    ends = np.searchsorted(ordered, wanted, "right")
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]

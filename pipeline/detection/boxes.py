"""Boxes as columns: conversions, areas, overlaps. ``xyxy`` corners, ``cxcywh`` centre and size."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", np.float32, np.float64)


def cxcywh_to_xyxy(boxes_cxcywh: NDArray[F]) -> NDArray[F]:
    """Corners of boxes (N, 4) given by centre and size; a new array."""
    half = boxes_cxcywh[:, 2:] / 2
    return np.concatenate([boxes_cxcywh[:, :2] - half, boxes_cxcywh[:, :2] + half], axis=1)


def xyxy_to_cxcywh(boxes_xyxy: NDArray[F]) -> NDArray[F]:
    """Centre and size of boxes (N, 4) given by their corners; a new array."""
    size = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    return np.concatenate([boxes_xyxy[:, :2] + size / 2, size], axis=1)


def area(boxes_xyxy: NDArray[F]) -> NDArray[F]:
    """Areas (N,), in square pixels; 0 where a corner pair is the wrong way round."""
    size = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    result: NDArray[F] = size[:, 0] * size[:, 1]
    return result


def clip(boxes_xyxy: NDArray[F], width: float, height: float) -> NDArray[F]:
    """Boxes (N, 4) cut to a picture of this size; a new array."""
    limits = np.array([width, height, width, height], boxes_xyxy.dtype)
    result: NDArray[F] = np.clip(boxes_xyxy, 0, limits)
    return result


def intersection_and_union(a_xyxy: NDArray[F], b_xyxy: NDArray[F]) -> tuple[NDArray[F], NDArray[F]]:
    """Areas that every box in `a` (N, 4) and every box in `b` (M, 4) share and cover: (N, M) each.

    Both in square pixels and of the boxes' dtype.
    """
    # One axis at a time: (N, M) arrays instead of (N, M, 2) halve the time.
    width = np.minimum(a_xyxy[:, None, 2], b_xyxy[:, 2])
    width -= np.maximum(a_xyxy[:, None, 0], b_xyxy[:, 0])
    height = np.minimum(a_xyxy[:, None, 3], b_xyxy[:, 3])
    height -= np.maximum(a_xyxy[:, None, 1], b_xyxy[:, 1])
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    intersection = np.multiply(width, height, out=width)
    union = np.add(area(a_xyxy)[:, None], area(b_xyxy), out=height)
    union -= intersection
    return intersection, union


def iou_matrix(a_xyxy: NDArray[F], b_xyxy: NDArray[F]) -> NDArray[F]:
    """Intersection over union of every box in `a` with every box in `b`.

    Args:
        a_xyxy: (N, 4).
        b_xyxy: (M, 4), same dtype.

    Returns:
        (N, M), 0..1; 0 where both boxes are empty.
    """
    intersection, union = intersection_and_union(a_xyxy, b_xyxy)
    iou: NDArray[F] = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou

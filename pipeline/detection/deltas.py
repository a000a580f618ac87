"""Boxes as differences from other boxes, as two-stage detectors learn them.

Girshick et al., "Rich feature hierarchies for accurate object detection", arXiv:1311.2524,
appendix C: dx = (x - xa) / wa, dy likewise, dw = log(w / wa), dh likewise, with centres x, y.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh

Weights = tuple[float, float, float, float]

#: A box grows to at most 1000 pixels from 16: what is more is a network gone astray.
MAX_LOG_SIZE = log(1000 / 16)


def encode(
    boxes_xyxy: NDArray[np.float32], from_xyxy: NDArray[np.float32], weights: Weights = (1, 1, 1, 1)
) -> NDArray[np.float32]:
    """What `decode` makes the boxes of again.

    Args:
        boxes_xyxy: (N, 4), none empty.
        from_xyxy: (N, 4) anchors or proposals, none empty.
        weights: factors of dx, dy, dw and dh.

    Returns:
        (N, 4) dx, dy, dw, dh.
    """
    boxes, anchors = xyxy_to_cxcywh(boxes_xyxy), xyxy_to_cxcywh(from_xyxy)
    shift = (boxes[:, :2] - anchors[:, :2]) / anchors[:, 2:]
    growth = np.log(boxes[:, 2:] / anchors[:, 2:])
    return np.concatenate([shift, growth], axis=1) * np.array(weights, np.float32)


def decode(
    deltas: NDArray[np.float32], from_xyxy: NDArray[np.float32], weights: Weights = (1, 1, 1, 1)
) -> NDArray[np.float32]:
    """The boxes that lie so far from others.

    Args:
        deltas: (N, 4) dx, dy, dw, dh, finite; dw and dh count up to `MAX_LOG_SIZE`.
        from_xyxy: (N, 4) anchors or proposals, finite.
        weights: by which the deltas are divided.

    Returns:
        (N, 4) xyxy, not clipped; infinite where float32 ends, never NaN.
    """
    anchors = xyxy_to_cxcywh(from_xyxy)
    with np.errstate(over="ignore"):
        moves = np.divide(deltas, np.array(weights, np.float32))
        centres = moves[:, :2] * anchors[:, 2:] + anchors[:, :2]
    sizes = np.exp(np.minimum(moves[:, 2:], MAX_LOG_SIZE)) * anchors[:, 2:]
    return cxcywh_to_xyxy(np.concatenate([centres, sizes], axis=1))

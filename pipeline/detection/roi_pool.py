"""RoI pooling: the largest features under a box, whatever its size, as a small map of fixed size.

Girshick, "Fast R-CNN", arXiv:1504.08083, section 2.1. Boxes are rounded to whole cells, of which
the last counts in: a box from cell 2 to cell 4 is three cells wide. Bins are rounded outwards, so
neighbours share the cell in which one ends within.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


def roi_pool(features: Floats, boxes_xyxy: Floats, rows: int, columns: int, scale: float) -> Floats:
    """The maximum in each of rows x columns bins of each box.

    Args:
        features: (1, C, H, W).
        boxes_xyxy: (N, 4) in input pixels.
        rows: of bins.
        columns: of bins.
        scale: feature cells a pixel, such as 1/16.

    Returns:
        (N, C, rows, columns); bins that lie outside the map are 0.
    """
    channels, height, width = features.shape[1:]
    top, bottom = _bins(boxes_xyxy[:, 1], boxes_xyxy[:, 3], scale, rows, height)
    left, right = _bins(boxes_xyxy[:, 0], boxes_xyxy[:, 2], scale, columns, width)
    cells = np.ascontiguousarray(features[0].transpose(1, 2, 0))
    out = np.zeros((len(boxes_xyxy), channels, rows, columns), np.float32)
    inside = (top[:, 0] < bottom[:, -1]) & (left[:, 0] < right[:, -1])
    for box in np.flatnonzero(inside):
        first, stop = left[box, 0], right[box, -1]
        bands = _largest(cells[:, first:stop], top[box], bottom[box])
        found = _largest(bands.transpose(1, 0, 2), left[box] - first, right[box] - first)
        out[box] = found.transpose(2, 1, 0)
    return out


def _bins(low: Floats, high: Floats, scale: float, bins: int, length: int) -> tuple[Whole, Whole]:
    """Where each bin of each box begins and, not included, ends on one axis: (N, bins) cells."""
    first, last = (_rounded(edge * np.float32(scale)) for edge in (low, high))
    # In float32, as everybody does: by its rounding a bin may get one cell more.
    step = np.maximum(last - first + 1, 1).astype(np.float32) / np.float32(bins)
    number = np.arange(bins + 1, dtype=np.float32)
    edges = number * step[:, None]
    start = np.floor(edges[:, :-1]).astype(np.int64) + first[:, None]
    stop = np.ceil(edges[:, 1:]).astype(np.int64) + first[:, None]
    return np.clip(start, 0, length), np.clip(stop, 0, length)


def _rounded(cells: Floats) -> Whole:
    """To the nearest whole number, halves away from 0."""
    return (np.sign(cells) * np.floor(np.abs(cells.astype(np.float64)) + 0.5)).astype(np.int64)


def _largest(cells: Floats, start: Whole, stop: Whole) -> Floats:
    """Of cells (L, …) the maxima (bins, …) from `start` to `stop`, (bins,); 0 where there are none.

    All bins go one cell further at a time: they differ in length by two at most.
    """
    last = stop - 1
    found = cells[np.minimum(start, last)]
    for number in range(1, (stop - start).max()):
        np.maximum(found, cells[np.minimum(start + number, last)], out=found)
    found[stop <= start] = 0
    return found

"""RoIAlign: the features under a box, whatever its size, as a small map of fixed size.

He et al., "Mask R-CNN", arXiv:1703.06870, section 3; the aligned variant shifts by half a cell, as
the ONNX operator RoiAlign does with ``half_pixel``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def roi_align(
    features: Floats, boxes_xyxy: Floats, rows: int, columns: int, scale: float, sampling: int = 0
) -> Floats:
    """The mean of bilinear samples in each of rows x columns bins of each box.

    A bilinear sample is a weighted sum over rows of weighted sums over columns, and the samples of
    a bin lie on a grid; so a box is two products with the cells under it. One product for all boxes
    would do without the loop, but with all cells: two and a half times as long on a map of 20x36
    cells, fifteen times on one of 200x336.

    Args:
        features: (1, C, H, W).
        boxes_xyxy: (N, 4) in input pixels.
        rows: of bins.
        columns: of bins.
        scale: feature cells a pixel, such as 1/16.
        sampling: samples a bin along each axis; 0: one a cell, rounded up.

    Returns:
        (N, C, rows, columns); bins that lie outside the map count as 0.
    """
    channels, height, width = features.shape[1:]
    left, top, right, bottom = (boxes_xyxy * np.float32(scale)).T
    vertical = axis_weights(top, bottom, rows, height, sampling)
    across = axis_weights(left, right, columns, width, sampling)
    cells = np.ascontiguousarray(features[0].transpose(1, 2, 0))
    out = np.empty((len(boxes_xyxy), channels, rows, columns), np.float32)
    under = zip(*_cells_under(top, bottom, height), *_cells_under(left, right, width), strict=True)
    for box, (y0, y1, x0, x1) in enumerate(under):
        bands = across[box, :, x0:x1] @ cells[y0:y1, x0:x1]
        found = vertical[box, :, y0:y1] @ bands.reshape(y1 - y0, -1)
        out[box] = found.reshape(rows, columns, channels).transpose(2, 0, 1)
    return out


def _cells_under(low: Floats, high: Floats, length: int) -> tuple[list[int], list[int]]:
    """First cell of one axis that adds to each box, and the one behind the last."""
    first = np.clip(np.floor(low - 0.5), 0, length - 1)
    stop = np.clip(np.floor(high - 0.5) + 2, first + 1, length)
    return first.astype(np.intp).tolist(), stop.astype(np.intp).tolist()


def axis_weights(low: Floats, high: Floats, bins: int, length: int, sampling: int) -> Floats:
    """What each cell of one axis adds to each bin: (N, bins, length).

    Args:
        low: (N,) where the boxes begin, in cells.
        high: (N,) where they end.
        bins: along this axis.
        length: of the axis, in cells.
        sampling: samples a bin; 0: as many as cells, rounded up.
    """
    step = (high - low)[:, None] / bins
    counts = np.full_like(step, sampling) if sampling else np.ceil(step)
    most = int(counts.max(initial=0))
    number = np.arange(most, dtype=np.float32)
    inside_bin = (number + 0.5) / np.maximum(counts, 1)  # (N, most), of a bin
    starts = low[:, None] - 0.5 + np.arange(bins, dtype=np.float32) * step
    at = starts[:, :, None] + inside_bin[:, None] * step[:, None]
    counted = (number < counts)[:, None] & (at >= -1) & (at <= length)
    at = np.clip(at, 0, length - 1)
    # A sample is shared out to the two cells on either side of it.
    below = np.floor(at)
    share = counted / np.maximum(counts, 1)[:, None]
    beyond = share * (at - below)
    size = len(low) * bins * length
    cell = np.arange(0, size, length).reshape(-1, bins, 1) + below.astype(np.intp)
    weights = np.bincount(
        np.concatenate([cell, cell + 1]).ravel(),
        np.concatenate([share - beyond, beyond]).ravel(),
        size,
    )[:size]  # behind the last cell nothing lies beyond
    return weights.astype(np.float32).reshape(-1, bins, length)

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
    a bin lie on a grid; so the whole is a product of matrices, without a loop over boxes.

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
    vertical = axis_weights(
        boxes_xyxy[:, 1] * scale, boxes_xyxy[:, 3] * scale, rows, height, sampling
    )
    across = axis_weights(
        boxes_xyxy[:, 0] * scale, boxes_xyxy[:, 2] * scale, columns, width, sampling
    )
    count = len(boxes_xyxy)
    # (N columns, W) times (W, C H): one large product and no copy; then N small ones.
    bands = across.reshape(-1, width) @ features[0].reshape(-1, width).T
    bands = bands.reshape(count, columns * channels, height)
    found = (bands @ vertical.transpose(0, 2, 1)).reshape(count, columns, channels, rows)
    out: Floats = np.ascontiguousarray(found.transpose(0, 2, 3, 1))
    return out


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
    # A cell's share of a sample falls linearly with the distance between their centres.
    near = 1 - np.abs(at[..., None] - np.arange(length, dtype=np.float32))
    shares = np.maximum(near, 0) * counted[..., None]
    weights: Floats = shares.sum(axis=2) / np.maximum(counts, 1)[..., None]
    return weights.astype(np.float32, copy=False)

"""Pooling from the levels of a pyramid: each box from the map in which it has its usual size.

Lin et al., "Feature Pyramid Networks for Object Detection", arXiv:1612.03144, section 4.2. One
feature map is a pyramid of one level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.boxes import area
from pipeline.detection.roi_align import roi_align
from pipeline.detection.roi_pool import roi_pool

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pooling:
    """How the features under a box become a map of fixed size.

    Attributes:
        rows: of bins.
        columns: of bins.
        strides: of each level, pixels between two cells; finest first.
        method: ``align`` as `roi_align` does, ``pool`` as `roi_pool` does.
        sampling: of ``align``: samples a bin along each axis; 0: one a cell, rounded up.
        canonical_size: side of the least square, pixels, that is pooled from the level of
            `canonical_level`.
        canonical_level: k of the level whose stride is 2^k.
    """

    rows: int
    columns: int
    strides: tuple[int, ...]
    method: Literal["align", "pool"] = "align"
    sampling: int = 0
    canonical_size: float = 224
    canonical_level: int = 4

    @property
    def least_areas(self) -> Floats:
        """Areas (levels - 1,), square pixels, from which on a box belongs above each level.

        Equation 1, k = floor(k0 + log2(sqrt(w h) / 224)), solved for w h: so the same level comes
        out wherever it is worked out, whatever the rounding of a logarithm.
        """
        strides = np.array(self.strides[1:], np.float64)
        sides = self.canonical_size * strides / 2**self.canonical_level
        areas: Floats = np.square(sides).astype(np.float32)
        return areas

    def levels(self, boxes_xyxy: Floats) -> NDArray[np.intp]:
        """Positions in `strides` (N,) of the levels from which boxes (N, 4) are pooled."""
        levels: NDArray[np.intp]
        levels = np.searchsorted(self.least_areas, area(boxes_xyxy), side="right")
        return levels


def pooled(how: Pooling, features: Sequence[Floats], boxes_xyxy: Floats) -> Floats:
    """The features under each box.

    Args:
        how: they are pooled.
        features: of each level (1, C, rows, columns).
        boxes_xyxy: (N, 4) in input pixels.

    Returns:
        (N, C, how.rows, how.columns), in the order of the boxes.

    Raises:
        ValueError: there are more or fewer feature maps than levels.
    """
    if len(features) != len(how.strides):
        raise ValueError(f"{len(how.strides)} levels are pooled from, {len(features)} maps given")
    if len(features) == 1:
        return _from_level(how, features[0], boxes_xyxy, how.strides[0])
    levels = how.levels(boxes_xyxy)
    out = np.empty((len(levels), features[0].shape[1], how.rows, how.columns), np.float32)
    for level, (one, stride) in enumerate(zip(features, how.strides, strict=True)):
        some = np.flatnonzero(levels == level)
        out[some] = _from_level(how, one, boxes_xyxy[some], stride)
    return out


def _from_level(how: Pooling, features: Floats, boxes_xyxy: Floats, stride: int) -> Floats:
    if how.method == "pool":
        return roi_pool(features, boxes_xyxy, how.rows, how.columns, 1 / stride)
    return roi_align(features, boxes_xyxy, how.rows, how.columns, 1 / stride, how.sampling)

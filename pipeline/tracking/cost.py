"""How alike a track and a detection are, for the pairs that may match at all.

Almost all pairs of a track and a detection are far apart, so similarities are kept for the few
others only, as columns (`Pairs`); a cost is a function of aligned arrays, one row a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import Floats

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """P candidate pairs, each (track, detection) at most once.

    Attributes:
        tracks: (P,) row of the track.
        detections: (P,) row of the detection.
        similarity: (P,) float64, larger is more alike.
    """

    tracks: Indices
    detections: Indices
    similarity: Floats

    def __len__(self) -> int:
        return len(self.similarity)

    def where(self, mask: NDArray[np.bool_]) -> Pairs:
        """The pairs where `mask` (P,) is True."""
        return Pairs(self.tracks[mask], self.detections[mask], self.similarity[mask])


def overlapping(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> tuple[Indices, Indices]:
    """Rows (i, j) of all boxes a[i] and b[j] that share an area, sorted by i.

    A sweep along x: with b sorted by its left edge, the b that can overlap a[i] are a range, which
    begins where a left edge plus the widest b reaches a[i] and ends at a[i]'s right edge.

    Args:
        a_xyxy: (N, 4), pixels.
        b_xyxy: (M, 4), pixels.
    """
    if not len(a_xyxy) or not len(b_xyxy):
        nothing = np.empty(0, np.intp)
        return nothing, nothing
    left = b_xyxy[:, 0]
    order = left.argsort(kind="stable")
    left = left[order]
    widest = (b_xyxy[:, 2] - b_xyxy[:, 0]).max()
    begin = left.searchsorted(a_xyxy[:, 0] - widest)
    counts = left.searchsorted(a_xyxy[:, 2]) - begin
    i = np.arange(len(a_xyxy)).repeat(counts)
    offsets = begin - counts.cumsum() + counts
    j = order[np.arange(len(i)) + offsets[i]]
    a, b = a_xyxy.take(i, 0), b_xyxy.take(j, 0)
    touch = (a[:, :2] < b[:, 2:]) & (b[:, :2] < a[:, 2:])
    touching = touch[:, 0] & touch[:, 1]
    return i[touching], j[touching]


def all_pairs(tracks: Indices, detections: Indices) -> tuple[Indices, Indices]:
    """Each of (N,) with each of (M,): (N M,) and (N M,), sorted as they came."""
    return tracks.repeat(len(detections)), np.tile(detections, len(tracks))


def iou(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Floats:
    """Intersection over union of a[k] and b[k]: (P, 4), (P, 4) → (P,) in 0..1."""
    sides = np.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:]) - np.maximum(a_xyxy[:, :2], b_xyxy[:, :2])
    np.maximum(sides, 0.0, out=sides)
    common = sides[:, 0] * sides[:, 1]
    a_sides = a_xyxy[:, 2:] - a_xyxy[:, :2]
    b_sides = b_xyxy[:, 2:] - b_xyxy[:, :2]
    union = a_sides[:, 0] * a_sides[:, 1] + b_sides[:, 0] * b_sides[:, 1] - common
    ratio: Floats = np.divide(common, union, out=np.zeros(len(common)), where=union > 0)
    return ratio


def cosine(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Cosine of the angle between a[k] and b[k], L2-normalised: (P, D), (P, D) → (P,) in -1..1."""
    product: Floats = np.einsum("pd,pd->p", a, b, dtype=np.float64)
    return product

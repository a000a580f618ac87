"""How alike a track and a detection are, for the pairs that may match at all.

Almost all pairs of a track and a detection are far apart, so similarities are kept for the few
others only, as columns (`Pairs`); a cost is a function of aligned arrays, one row a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.motion import Floats

Indices = NDArray[np.intp]

#: Up to so many pairs it is faster to look at all of them than to sort.
_FEW = 1024


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
        rows = mask.nonzero()[0]
        return Pairs(self.tracks.take(rows), self.detections.take(rows), self.similarity.take(rows))


def overlaps(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Pairs:
    """All boxes a[i] and b[j] that share an area, with their intersection over union.

    Args:
        a_xyxy: (N, 4), pixels.
        b_xyxy: (M, 4), pixels.
    """
    i, j = _near(a_xyxy, b_xyxy)
    a_columns = np.ascontiguousarray(a_xyxy.T, np.float64)
    b_columns = np.ascontiguousarray(b_xyxy.T, np.float64)
    a, b = a_columns.take(i, 1), b_columns.take(j, 1)
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    touching = (np.minimum(width, height) > 0).nonzero()[0]
    i, j = i.take(touching), j.take(touching)
    common = width.take(touching) * height.take(touching)
    union = _areas(a_columns).take(i) + _areas(b_columns).take(j) - common
    return Pairs(i, j, common / union)


def positive(similarity: Floats) -> Pairs:
    """The pairs with a positive similarity in a matrix (N, M), one row a track."""
    i, j = similarity.nonzero()
    found = similarity[i, j]
    return Pairs(i, j, found).where(found > 0)


def all_pairs(n: int, m: int) -> tuple[Indices, Indices]:
    """Each of 0..n-1 with each of 0..m-1: (n m,) and (n m,), sorted."""
    i, j = np.divmod(np.arange(n * m), max(m, 1))
    return i, j


def _near(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> tuple[Indices, Indices]:
    """Rows (i, j) of boxes that may overlap, sorted by i; no overlapping pair is missing.

    For few boxes all pairs. For many a sweep along x: with b sorted by its left edge, the b that
    can overlap a[i] are a range, which begins where a left edge plus the widest b reaches a[i] and
    ends at a[i]'s right edge.
    """
    if len(a_xyxy) * len(b_xyxy) <= _FEW:
        return all_pairs(len(a_xyxy), len(b_xyxy))
    left = b_xyxy[:, 0]
    order = left.argsort(kind="stable")
    left = left.take(order)
    widest = (b_xyxy[:, 2] - b_xyxy[:, 0]).max()
    begin = left.searchsorted(a_xyxy[:, 0] - widest)
    counts = left.searchsorted(a_xyxy[:, 2]) - begin
    i = np.arange(len(a_xyxy)).repeat(counts)
    offsets = begin - counts.cumsum() + counts
    return i, order.take(np.arange(len(i)) + offsets.take(i))


def _areas(columns: Floats) -> Floats:
    """Areas of boxes whose x1, y1, x2, y2 are rows, (4, N): (N,)."""
    width, height = columns[2:] - columns[:2]
    areas: Floats = width * height
    return areas


def cosines(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Cosine of the angle between every a[i] and b[j], of length 1: (N, D), (M, D) → (N, M)."""
    # Not `@`: what its library gives depends on the number of threads.
    product: Floats = np.einsum("nd,md->nm", a, b, dtype=np.float64)
    return product


@dataclass(frozen=True, slots=True)
class Similarity:
    """What compares boxes and embeddings; by default this module, else an engine.

    Attributes:
        overlaps: as the function `overlaps`.
        cosines: as the function `cosines`.
    """

    overlaps: Callable[[NDArray[Any], NDArray[Any]], Pairs] = overlaps
    cosines: Callable[[NDArray[Any], NDArray[Any]], Floats] = cosines

"""How alike a track and a detection are, for the pairs that may match at all.

Almost all pairs of a track and a detection are far apart, so similarities are kept for the few
others only, as columns (`Pairs`); a cost is a function of aligned arrays, one row a pair. All lie
in 0..1, larger is more alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def compared(kind: str, a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Pairs:
    """Boxes a[i] and b[j] by one of `BOX_SIMILARITIES`, where it is positive.

    Looked at are pairs whose boxes touch when each grows by its own size to every side: farther
    apart GIoU and DIoU tell a pair from its neighbours no more.

    Args:
        kind: a name in `BOX_SIMILARITIES`.
        a_xyxy: (N, 4), pixels.
        b_xyxy: (M, 4), pixels.
    """
    i, j = _near(grown(a_xyxy, 1.0), grown(b_xyxy, 1.0))
    a = np.asarray(a_xyxy.T, np.float64).take(i, 1)
    b = np.asarray(b_xyxy.T, np.float64).take(j, 1)
    similarity = BOX_SIMILARITIES[kind](a, b) * _touching(a, b)
    return Pairs(i, j, similarity).where(similarity > 0)


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of aligned boxes whose x1, y1, x2, y2 are rows: (4, P) → (P,)."""
    common = _common(a, b)
    shared: Floats = common / (_areas(a) + _areas(b) - common)
    return shared


def giou(a: Floats, b: Floats) -> Floats:
    """(1 + GIoU) / 2 of aligned boxes (Rezatofighi et al., CVPR 2019): (4, P) → (P,)."""
    common = _common(a, b)
    union = _areas(a) + _areas(b) - common
    hull = _areas(_hull(a, b))
    return 0.5 * (1 + common / union - (hull - union) / hull)


def diou(a: Floats, b: Floats) -> Floats:
    """(1 + DIoU) / 2 of aligned boxes (Zheng et al., AAAI 2020): (4, P) → (P,)."""
    hull = _hull(a, b)
    apart = 0.5 * (a[:2] + a[2:] - b[:2] - b[2:])
    diagonal = hull[2:] - hull[:2]
    similarity: Floats = iou(a, b) - (apart**2).sum(axis=0) / (diagonal**2).sum(axis=0)
    return 0.5 * (1 + similarity)


def hmiou(a: Floats, b: Floats) -> Floats:
    """Height-modulated IoU of aligned boxes (Yang et al., Hybrid-SORT, AAAI 2024): (4, P) → (P,).

    IoU times the overlap of the heights alone, which tells people apart who stand one behind the
    other.
    """
    common = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    both = np.maximum(a[3], b[3]) - np.minimum(a[1], b[1])
    modulated: Floats = iou(a, b) * np.maximum(common, 0) / both
    return modulated


#: Similarities of aligned boxes by their names in a configuration.
BOX_SIMILARITIES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "iou": iou,
    "giou": giou,
    "diou": diou,
    "hmiou": hmiou,
}


def grown(boxes_xyxy: NDArray[Any], share: float) -> NDArray[Any]:
    """Boxes (N, 4) that reach farther by `share` of their size to each side.

    The buffered boxes of Yang et al., Hard to track objects with irregular motions and similar
    appearances? Make it easier by buffering the matching space, WACV 2023.
    """
    margin = share * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])
    return np.concatenate((boxes_xyxy[:, :2] - margin, boxes_xyxy[:, 2:] + margin), axis=1)


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
    ends at a[i]'s right edge. Most of a range are above or below.
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
    j = order.take(np.arange(len(i)) + offsets.take(i))
    beside = a_xyxy[:, 1].take(i) < b_xyxy[:, 3].take(j)
    beside &= a_xyxy[:, 3].take(i) > b_xyxy[:, 1].take(j)
    return i.compress(beside), j.compress(beside)


def _touching(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Which aligned boxes touch when each grows by its own size to every side, (4, P) → (P,)."""
    reach = a[2:] - a[:2] + b[2:] - b[:2]
    across, down = np.maximum(a[:2] - b[2:], b[:2] - a[2:]) < reach
    touching: NDArray[np.bool_] = across & down
    return touching


def _common(a: Floats, b: Floats) -> Floats:
    """Areas that aligned boxes share, (4, P) → (P,)."""
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    common: Floats = width * height
    return common


def _hull(a: Floats, b: Floats) -> Floats:
    """The smallest boxes around both of aligned boxes, (4, P)."""
    return np.concatenate((np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])))


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

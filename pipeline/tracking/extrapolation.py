"""Which lost tracks are given out a little longer, at the box predicted for them.

Detectors miss an object for some frames and find it again; its track knows where it was meanwhile.
A prediction is given out while it is more likely right than wrong:

- not longer than `extrapolate_s` after the last detection;
- for a track that was detected several times, and surely: its mean score reaches
  `extrapolate_score`. A track that flickered is as likely to be over;
- while the predicted height is still that of the last detection. One that runs away was learnt from
  a box that shrank behind an obstacle;
- inside the region where objects were detected so far: who walks out of the picture is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.book import LOST, Book
from pipeline.tracking.cost import Indices
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec

#: Detections after which a track is established.
_ESTABLISHED = 5
#: Share by which the predicted height may differ from the last detection's.
_GROWTH = 0.1


class Region:
    """The smallest rectangle around all detections so far: what the camera sees of objects."""

    def __init__(self) -> None:
        #: x1, y1, x2, y2.
        self._xyxy: Floats = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def widen(self, boxes_xyxy: NDArray[np.float32]) -> None:
        """Takes in the detections (M, 4) of a frame."""
        if len(boxes_xyxy):
            columns = boxes_xyxy.T.copy()
            # Not `min` and `max`: those methods are Python, and take twice as long.
            low, high = (
                np.minimum.reduce(columns[:2], axis=1),
                np.maximum.reduce(columns[2:], axis=1),
            )
            np.minimum(self._xyxy[:2], low, out=self._xyxy[:2])
            np.maximum(self._xyxy[2:], high, out=self._xyxy[2:])

    def contains(self, boxes_xyxy: Floats) -> NDArray[np.bool_]:
        """Which boxes (N, 4) lie inside at the left, at the right and below: mask (N,)."""
        left, _, right, below = self._xyxy.tolist()
        inside: NDArray[np.bool_] = boxes_xyxy[:, 0] >= left
        inside &= boxes_xyxy[:, 2] <= right
        inside &= boxes_xyxy[:, 3] <= below
        return inside

    def saved(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes."""
        return {"xyxy": self._xyxy.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Goes on from what was `saved`."""
        self._xyxy = arrays["xyxy"].copy()


def extrapolated(
    book: Book, spec: TrackSpec, boxes_xyxy: Floats, region: Region, pts_ns: int
) -> Indices:
    """Rows (K,) of the lost tracks that are given out at `pts_ns` at the boxes predicted (N, 4)."""
    rows: Indices = (book["state"] == LOST).nonzero()[0]
    if not len(rows):
        return rows
    records = book.records.take(rows)
    unseen_ns = pts_ns - records["seen_ns"]
    good = (records["hits"] >= _ESTABLISHED) & (unseen_ns <= spec.extrapolate_s * 1e9)
    if not np.count_nonzero(good):
        return rows[:0]
    good &= book.votes.take(rows, 0).sum(axis=1) >= spec.extrapolate_score * records["hits"]
    if not np.count_nonzero(good):
        return rows[:0]
    boxes = boxes_xyxy.take(rows, 0)
    _, top, _, bottom = records["box_xyxy"].T
    good &= np.abs(boxes[:, 3] - boxes[:, 1] - bottom + top) < _GROWTH * (bottom - top)
    good &= region.contains(boxes)
    return rows[good]

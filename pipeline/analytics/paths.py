"""Where tracks went: from detection to detection, straight on.

A track's path is made of the places where it was *detected*; a prediction is nobody's place.
Between two detections it is taken for a straight way at an even pace, however many frames were
dropped, damaged or blind meanwhile. So all that follows from a path depends on time and place, and
not on how many frames there were.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.analytics.roll import Ids, Mask, Roll
from pipeline.tracking.motion import Floats
from pipeline.tracking.track import Tracks

Times = NDArray[np.int64]
Labels = NDArray[np.int32]
#: Numbers of classes; None: all of them.
Classes = tuple[int, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """K tracks whose paths are over.

    Attributes:
        ids: (K,), rising.
        labels: (K,).
        boxes_xyxy: (K, 4), where each was detected last, pixels.
        seen_ns: (K,), when.
        pts_ns: (K,), when each was given up.
    """

    ids: Ids
    labels: Labels
    boxes_xyxy: Floats
    seen_ns: Times
    pts_ns: Times


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The ways of N tracks to where they are detected in a frame.

    Attributes:
        pts_ns: the frame's time.
        ids: (N,), rising.
        labels: (N,).
        from_xyxy: (N, 4), where each was detected before, pixels; of a new one as `to_xyxy`.
        to_xyxy: (N, 4), where it is.
        since_ns: (N,), when it was detected before.
        ended: those whose paths are over. A track may be among them and begin again in this frame.
        speeds_kmh: (N,) over ground, NaN where not known.
    """

    pts_ns: int
    ids: Ids
    labels: Labels
    from_xyxy: Floats
    to_xyxy: Floats
    since_ns: Times
    ended: Ended
    speeds_kmh: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.ids)

    def heights(self) -> Floats:
        """Of the boxes as they are now, (N,) pixels."""
        heights: Floats = self.to_xyxy[:, 3] - self.to_xyxy[:, 1]
        return heights

    def moment(self, row: int, share: float) -> int:
        """When a track had gone this share of its way, 0..1."""
        since_ns = int(self.since_ns[row])
        return since_ns + round(share * (self.pts_ns - since_ns))


class Paths:
    """The tracks of one camera, or those of some classes, by where they were detected last.

    Args:
        classes: that there are; None: all.
        patience_ns: a track that was not detected for longer has ended, nanoseconds.
    """

    def __init__(self, classes: Classes, patience_ns: int) -> None:
        self.patience_ns = patience_ns
        self._classes = classes
        self._roll = Roll([("seen_ns", np.int64), ("label", np.int32), ("box", np.float64, (4,))])

    def step(self, tracks: Tracks, pts_ns: int) -> Steps:
        """How the tracks came to where they are in this frame.

        Args:
            tracks: all of a frame.
            pts_ns: its time.
        """
        ended = self._ended(pts_ns - self._roll.records["seen_ns"] > self.patience_ns)
        now = self._detected(tracks)
        ids, labels = tracks.ids[now], tracks.labels[now]
        to_xyxy = tracks.boxes_xyxy[now].astype(np.float64)
        rows, new = self._roll.rows(ids)
        before = self._roll.records[rows]
        since_ns = np.where(new, pts_ns, before["seen_ns"])
        from_xyxy = np.where(new[:, None], to_xyxy, before["box"])
        for key, values in (("seen_ns", pts_ns), ("label", labels), ("box", to_xyxy)):
            self._roll.records[key][rows] = values
        return Steps(pts_ns, ids, labels, from_xyxy, to_xyxy, since_ns, ended)

    def end(self, pts_ns: int) -> Steps:
        """All paths end at this time."""
        ended = self._ended(np.ones(len(self._roll), np.bool_), pts_ns)
        nobody, nowhere = np.empty(0, np.int64), np.empty((0, 4))
        return Steps(pts_ns, nobody, np.empty(0, np.int32), nowhere, nowhere, nobody, ended)

    def _detected(self, tracks: Tracks) -> Mask:
        """Which of the tracks (N,) are ours and detected in this frame: mask (N,)."""
        detected: Mask = tracks.unseen_s == 0
        if self._classes is not None:
            detected &= np.isin(tracks.labels, self._classes)
        return detected

    def _ended(self, mask: Mask, pts_ns: int | None = None) -> Ended:
        """Takes the tracks in the mask out; given up at `pts_ns`, or when patience was over."""
        over: NDArray[Any] = self._roll.drop(self._roll.records["id"][mask])
        given_up = over["seen_ns"] + self.patience_ns
        if pts_ns is not None:
            given_up = np.full(len(over), pts_ns, np.int64)
        return Ended(over["id"], over["label"], over["box"], over["seen_ns"], given_up)

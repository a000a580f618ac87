"""Which detections are worth an embedding: the rule that saves most of a ReID network's work.

Where a detection is alone and lies where one lay in the last frame, its position says who it is. So
of a camera's detections only those are *due* to be looked at that are

- **new**: they continue no box of the last frame;
- **ambiguous**: they meet others, so that position may mislead;
- **stale**: nobody has looked at them for `refresh_s`.

A box *continues* one of the last frame where both overlap by at least `CONTINUES` and neither
overlaps any other box of the other frame by `MEETS` or more. Of two objects that meet, each box
overlaps what was the other's a frame ago: neither continues anything, both are due in every frame
of their meeting. A box that continues nothing stays due for `YOUNG_S`, so that an object that has
just come, or come free, is known from several frames and not from the one in which it was hardly
there.

The rule asks the camera's earlier detections and their times only, never the tracker, which is a
frame or more behind: the same file gives the same embeddings whatever the number of workers. Frames
that are dropped make boxes overlap less, so more of them are due; after a gap of more than `GAP_S`
all are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.assignment import isolated
from pipeline.tracking.cost import Indices, overlaps

#: Least IoU of a box with the one of the last frame that it continues.
CONTINUES = 0.5
#: From this IoU on two boxes of two frames may be the same object's.
MEETS = 0.1
#: An object stays due for so long after it came or came free, seconds.
YOUNG_S = 0.2
#: Frames farther apart than this say nothing of each other, seconds.
GAP_S = 0.25

Times = NDArray[np.int64]


class Freshness:
    """What is known of the boxes of one camera's last frame.

    Args:
        refresh_s: a detection that was not due for so long is stale, seconds.
    """

    def __init__(self, refresh_s: float) -> None:
        self._refresh_ns = round(refresh_s * 1e9)
        self._pts_ns = 0
        self._boxes_xyxy: NDArray[np.float32] = np.empty((0, 4), np.float32)
        #: (N,) time of the frame since which each of these boxes was continued.
        self._since_ns: Times = np.empty(0, np.int64)
        #: (N,) time of the last frame in which each of them was due.
        self._due_ns: Times = np.empty(0, np.int64)

    def due(self, boxes_xyxy: NDArray[np.float32], pts_ns: int) -> NDArray[np.bool_]:
        """Which of a frame's boxes are to be looked at: mask (N,); they count as looked at.

        Args:
            boxes_xyxy: (N, 4) float32, pixels, finite, of the camera's next frame; kept, so not
                to be changed.
            pts_ns: the frame's time.
        """
        since_ns, due_ns = np.full((2, len(boxes_xyxy)), pts_ns)
        before, now = self._continued(boxes_xyxy, pts_ns)
        since_ns[now] = self._since_ns[before]
        due_ns[now] = self._due_ns[before]
        due: NDArray[np.bool_] = pts_ns - since_ns < YOUNG_S * 1e9
        due |= pts_ns - due_ns >= self._refresh_ns
        due_ns[due] = pts_ns
        self._pts_ns, self._boxes_xyxy = pts_ns, boxes_xyxy
        self._since_ns, self._due_ns = since_ns, due_ns
        return due

    def _continued(self, boxes_xyxy: NDArray[np.float32], pts_ns: int) -> tuple[Indices, Indices]:
        """Boxes of the last frame (K,) and those of this one that continue them (K,)."""
        if not 0 < pts_ns - self._pts_ns <= GAP_S * 1e9:
            return np.empty(0, np.intp), np.empty(0, np.intp)
        pairs = overlaps(self._boxes_xyxy, boxes_xyxy)
        pairs = pairs.where(pairs.similarity >= MEETS)
        pairs = pairs.where(isolated(pairs) & (pairs.similarity >= CONTINUES))
        return pairs.tracks, pairs.detections

"""supervision's ByteTrack (MIT). https://supervision.roboflow.com/0.27.0/trackers/"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import supervision as sv
from numpy.typing import NDArray


class Supervised:
    """A tracker that takes and gives `sv.Detections`; below 0 is no identity yet."""

    def prepared(
        self, boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> sv.Detections:
        return sv.Detections(boxes_xyxy, confidence=scores, class_id=np.zeros(len(scores), int))

    def tracks(self, result: sv.Detections) -> tuple[NDArray[Any], NDArray[Any]]:
        if result.tracker_id is None:
            return np.empty(0), np.empty((0, 4))
        known = result.tracker_id >= 0
        return result.tracker_id[known], result.xyxy[known]


class ByteTrack(Supervised):
    """It may be told the frame rate, but not the time: a frame that is missing did not happen."""

    def __init__(self, rated: bool, fps: float) -> None:
        self._tracker = sv.ByteTrack(frame_rate=round(fps)) if rated else sv.ByteTrack()

    def update(self, frame: sv.Detections, index: int) -> sv.Detections:
        return self._tracker.update_with_detections(frame)


TRACKERS = {"ByteTrack": partial(ByteTrack, False), "ByteTrack, fps": partial(ByteTrack, True)}

"""Ours: every preset, and the reference filter, which runs one filterpy filter an object."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.tracking import presets
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import Tracks
from pipeline.tracking.tracker import Tracker


class Sightline:
    """Our tracker; the time of a frame is its number over the frame rate."""

    def __init__(self, spec: TrackSpec, fps: float) -> None:
        self._tracker, self._fps = Tracker(spec), fps

    def prepared(self, boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32]) -> Detections:
        return Detections(boxes_xyxy, scores, np.zeros(len(scores), np.int32))

    def update(self, frame: Detections, index: int) -> Tracks:
        return self._tracker.update(frame, round(index / self._fps * 1e9))

    def tracks(self, result: Tracks) -> tuple[NDArray[Any], NDArray[Any]]:
        return result.ids, result.boxes_xyxy


TRACKERS = {name: partial(Sightline, TrackSpec(preset=name)) for name in presets.NAMES}
TRACKERS["filterpy"] = partial(Sightline, TrackSpec(motion="filterpy"))

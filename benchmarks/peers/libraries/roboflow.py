"""roboflow's trackers (Apache-2.0). https://trackers.roboflow.com"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import supervision as sv
from trackers import (
    BoTSORTTracker,
    ByteTrackTracker,
    CBIoUTracker,
    OCSORTTracker,
    SORTTracker,
)

from benchmarks.peers.libraries.supervision import Supervised


class Roboflow(Supervised):
    """One of its trackers.

    Args:
        make: its class.
        rated: whether it is told the frame rate.
        timed: whether it is told the time of each frame.
        fps: frames per second of the recording.
    """

    def __init__(self, make: Callable[..., Any], rated: bool, timed: bool, fps: float) -> None:
        self._tracker = make(frame_rate=fps) if rated else make()
        self._timed, self._fps = timed, fps

    def update(self, frame: sv.Detections, index: int) -> sv.Detections:
        return self._tracker.update(frame, timestamp=index / self._fps if self._timed else None)


_KINDS = {
    "SORT": SORTTracker,
    "ByteTrack": ByteTrackTracker,
    "OC-SORT": OCSORTTracker,
    "BoT-SORT": partial(BoTSORTTracker, enable_cmc=False),
    "C-BIoU": CBIoUTracker,
}
TRACKERS = {}
for _name, _kind in _KINDS.items():
    TRACKERS[_name] = partial(Roboflow, _kind, False, False)
    TRACKERS[f"{_name}, fps"] = partial(Roboflow, _kind, True, False)
    TRACKERS[f"{_name}, timed"] = partial(Roboflow, _kind, True, True)

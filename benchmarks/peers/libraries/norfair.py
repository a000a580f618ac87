"""norfair (BSD-3). https://tryolabs.github.io/norfair/2.3/

It has no defaults for what is compared and how far it may be, so its demos' choices are run: that
of the detectors (demos/yolov7), and that of its MOTChallenge benchmark (demos/motmetrics4norfair).
It gives out objects that it did not find in a frame as well; each choice runs with and without.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import norfair
import numpy as np
from norfair.filter import FilterPyKalmanFilterFactory
from numpy.typing import NDArray


class Norfair:
    """One tracker. `timed` ones are told of missing frames, by an update without detections each.

    Args:
        choice: parameters of `norfair.Tracker`.
        matched: whether only objects that were found in the frame count.
        timed: see above.
        fps: nothing takes it.
    """

    def __init__(self, choice: dict[str, Any], matched: bool, timed: bool, fps: float) -> None:
        self._tracker = norfair.Tracker(**choice)
        self._matched, self._timed = matched, timed
        self._last: int | None = None
        self._frame: list[norfair.Detection] = []

    def prepared(
        self, boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> list[norfair.Detection]:
        corners = boxes_xyxy.reshape(-1, 2, 2)
        both = np.repeat(scores[:, None], 2, axis=1)
        return [
            norfair.Detection(points, score) for points, score in zip(corners, both, strict=True)
        ]

    def update(self, frame: list[norfair.Detection], index: int) -> list[Any]:
        steps = index - self._last if self._timed and self._last is not None else 1
        self._last, self._frame = index, frame
        for _ in range(steps - 1):
            self._tracker.update()
        return self._tracker.update(frame, period=steps)

    def tracks(self, result: list[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        now = {id(detection) for detection in self._frame}
        shown = [each for each in result if not self._matched or id(each.last_detection) in now]
        boxes = np.array([each.estimate for each in shown], np.float64).reshape(-1, 4)
        return np.array([each.id for each in shown]), boxes


_DEMO = {"distance_function": "iou", "distance_threshold": 0.7}
_MOT = {
    "distance_function": "iou",
    "distance_threshold": 0.9,
    "detection_threshold": 0.5,
    "pointwise_hit_counter_max": 3,
    "hit_counter_max": 8,
    "filter_factory": FilterPyKalmanFilterFactory(),
}
TRACKERS = {}
for _name, _choice in {"demo": _DEMO, "MOT": _MOT}.items():
    TRACKERS[_name] = partial(Norfair, _choice, False, False)
    TRACKERS[f"{_name}, matched"] = partial(Norfair, _choice, True, False)
    TRACKERS[f"{_name}, matched, timed"] = partial(Norfair, _choice, True, True)

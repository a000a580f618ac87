"""BoxMOT, in Python and C++ (AGPL-3.0, as a benchmark only). https://mikel-brostrom.github.io/boxmot

Appearance and camera motion are switched off: there are boxes only. BoostTrack and OccluBoost are
then their association alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from boxmot import create_tracker
from boxmot.trackers import TrackerSpec
from numpy.typing import NDArray


class BoxMot:
    """One tracker.

    Args:
        name: of the tracker in its library.
        backend: python or cpp.
        rated: whether it is told the frame rate, where it takes one.
        timed: whether it is told the time of each frame (in Python only), and what a frame's is.
        options: further ones.
        fps: frames per second of the recording.
    """

    def __init__(
        self, name: str, backend: str, rated: bool, timed: bool, options: dict[str, Any], fps: float
    ) -> None:
        options = dict(options)
        if rated and name in _TAKE_RATE:
            options["frame_rate"] = round(fps)
        if timed:
            options |= {"variable_dt": True, "kf_reference_dt_s": 1 / fps}
        spec = TrackerSpec(name=name, backend=backend, options=tuple(sorted(options.items())))
        self._tracker, self._timed, self._fps = create_tracker(spec), timed, fps

    def prepared(
        self, boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return np.column_stack([boxes_xyxy, scores, np.zeros_like(scores)])

    def update(self, frame: NDArray[np.float32], index: int) -> NDArray[np.float64]:
        if self._timed:
            return self._tracker.update(frame, timestamp_s=index / self._fps)
        return self._tracker.update(frame)

    def tracks(self, result: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        return result[:, 4], result[:, :4]


_TAKE_RATE = ("bytetrack", "botsort")
_BOXES = {"use_cmc": False, "use_embeddings": False}
_NATIVE = {
    "ByteTrack": ("bytetrack", {}),
    "OC-SORT": ("ocsort", {}),
    "BoT-SORT": ("botsort", _BOXES),
}
_KINDS = _NATIVE | {"BoostTrack": ("boosttrack", _BOXES), "OccluBoost": ("occluboost", _BOXES)}
TRACKERS = {}
for _name, (_kind, _options) in _KINDS.items():
    TRACKERS[_name] = partial(BoxMot, _kind, "python", False, False, _options)
    TRACKERS[f"{_name}, timed"] = partial(BoxMot, _kind, "python", True, True, _options)
    if _kind in _TAKE_RATE:
        TRACKERS[f"{_name}, fps"] = partial(BoxMot, _kind, "python", True, False, _options)
    if _name in _NATIVE:
        TRACKERS[f"{_name} (C++)"] = partial(BoxMot, _kind, "cpp", False, False, _options)

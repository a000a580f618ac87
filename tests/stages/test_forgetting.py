"""A camera that is gone leaves nothing behind but the ids that its tracks had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.feedback import Feedback
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Detected, TrackerState
from pipeline.stage import Stage
from pipeline.stages.camera_motion import CameraMotionStage
from pipeline.stages.crops import DueDetections
from pipeline.stages.kalman import KalmanStage
from pipeline.stages.matching import MatchingStage
from pipeline.stages.screening import ScreeningStage
from pipeline.stages.track import TrackStage
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.warm_restart import Keeping

SPEC = TrackSpec(min_hits=1)
PICTURE = BgrPicture(np.zeros((32, 48, 3), np.uint8))


def packet(sequence: int, camera: str, at: float = 8.0) -> Packet[Detected]:
    frame = FrameInfo(camera, sequence, sequence, sequence * 40_000_000, 48, 32)
    boxes = np.array([[at, 4, at + 12, 28]], np.float32)
    found = Detections(boxes, np.float32([0.9]), np.int32([0]))
    return Packet(frame, Detected(PICTURE, found), Ticket(camera))


class Parts:
    """The tracker in parts, as one."""

    def __init__(self, keeping: Keeping | None = None) -> None:
        feedback: Feedback[TrackerState] = Feedback()
        self.stages: tuple[Stage[Any, Any], ...] = (
            KalmanStage(SPEC, feedback, keeping=keeping),
            MatchingStage(SPEC, feedback),
            ScreeningStage(SPEC, feedback),
        )

    def process(self, taken: Packet[Any]) -> list[Packet[Any]]:
        for stage in self.stages:
            (taken,) = stage.process(taken)
        return [taken]

    def forget(self, camera: str) -> None:
        for stage in self.stages:
            stage.forget(camera)

    def succeed(self, before: Parts) -> None:
        for stage, other in zip(self.stages, before.stages, strict=True):
            stage.succeed(other)

    def flush(self) -> None:
        for stage in self.stages:
            list(stage.flush())

    def close(self) -> None:
        for stage in reversed(self.stages):
            stage.close()


def whole(keeping: Keeping | None = None) -> TrackStage:
    return TrackStage(SPEC, keeping=keeping)


def ids(tracker: Any, frames: range, camera: str, at: float = 8.0) -> set[int]:
    """The ids of one thing that stands still."""
    results = [list(tracker.process(packet(i, camera, at))) for i in frames]
    return {int(i) for (result,) in results for i in result.payload.tracks.ids}


@pytest.mark.parametrize("make", [whole, Parts])
def test_no_id_is_given_again_to_a_camera_that_comes_back(make: Any) -> None:
    tracker = make()
    assert ids(tracker, range(5), "a") == {1}
    assert ids(tracker, range(5), "b") == {1}
    tracker.forget("a")
    tracker.forget("never-there")
    assert ids(tracker, range(5), "a") == {2}, "the track ended with the camera"
    assert ids(tracker, range(5, 9), "b") == {1}, "the others go on"


@pytest.mark.parametrize("make", [whole, Parts])
def test_no_id_is_given_again_by_another_tracker(make: Any) -> None:
    old, new, newest = make(), make(), make()
    ids(old, range(5), "a")
    ids(old, range(5), "gone")
    old.forget("gone")
    old.flush()
    old.close()
    new.succeed(old)
    assert ids(new, range(5, 9), "a") == {2}
    new.flush()
    new.close()
    newest.succeed(new)
    assert ids(newest, range(9, 12), "a") == {3}
    assert ids(newest, range(9, 12), "gone") == {2}


@pytest.mark.parametrize("make", [whole, Parts])
def test_a_camera_that_is_gone_is_kept_for_its_return(make: Any, tmp_path: Path) -> None:
    tracker = make(Keeping(tmp_path, 1.0, 60.0, "spec"))
    assert ids(tracker, range(5), "a") == {1}
    tracker.forget("a")
    other = make(Keeping(tmp_path, 1.0, 60.0, "spec"))
    assert ids(other, range(5), "a") == {1}, "the lock is free, the track is there"
    other.flush()
    other.close()
    tracker.close()


def test_estimates_of_a_camera_go_with_it() -> None:
    stage = CameraMotionStage(64, 16)
    for camera in "ab":
        list(stage.process(packet(0, camera)))
    stage.forget("a")
    (again,) = stage.process(packet(1, "a"))
    assert again.payload.camera_motion is None, "as at a camera's first frame"


def test_detections_of_a_camera_that_comes_back_are_new() -> None:
    due, rows = DueDetections(refresh_s=100.0), np.array([0])
    looks = [len(due.of(packet(i, "a"), rows)) for i in range(20)]
    assert (looks[0], looks[-1]) == (1, 0)
    due.forget("a")
    assert len(due.of(packet(20, "a"), rows)) == 1

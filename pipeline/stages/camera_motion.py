"""camera_motion: how the camera moved since its last frame, so that the tracks can move with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.config import CameraMotionConfig
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Detected
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage
from pipeline.tracking.camera_motion import MotionEstimator


class CameraMotionStage(Stage[Detected, Detected]):
    """Compares each picture with the camera's last one, beside the detected objects.

    A blind frame has a picture as well, so its tracks coast along with the camera. An epoch begins
    without a motion: nobody knows how long ago its last frame was, nor of what.

    Args:
        width: of the small picture that is looked at, pixels.
        features: corners that are followed, at most.
    """

    consumes = Detected
    produces = Detected
    per_camera = True
    looks = True

    def __init__(self, width: int, features: int) -> None:
        self._width = width
        self._features = features
        #: By camera, with the epoch it is for.
        self._estimators: dict[str, tuple[int, MotionEstimator]] = {}

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Detected]]:
        payload = packet.payload
        motion = self._estimator(packet.frame).estimate(
            payload.picture.gray(),
            packet.frame.pts_ns,
            payload.detections.boxes_xyxy if packet.seen else None,
        )
        return (packet.carrying(replace(payload, camera_motion=motion)),)

    def forget(self, camera: str) -> None:
        self._estimators.pop(camera, None)

    def _estimator(self, frame: FrameInfo) -> MotionEstimator:
        """The one for this camera and epoch."""
        epoch, estimator = self._estimators.get(frame.camera, (-1, None))
        if estimator is None or epoch != frame.epoch:
            estimator = MotionEstimator(self._width, self._features)
            self._estimators[frame.camera] = frame.epoch, estimator
        return estimator


def plan(planner: Planner, name: str, config: CameraMotionConfig) -> Plan:
    """The stage as configured; it runs on the host."""
    return Plan(CameraMotionStage, lambda run: CameraMotionStage(config.width, config.features))

"""kalman: the first part of the tracker, which expects the tracks in the next frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.clock import Clock, SystemClock
from pipeline.config import KalmanConfig
from pipeline.feedback import Feedback
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Detected, Predicted, TrackerState
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage
from pipeline.stages.tracker import keeping, numbered
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.warm_restart import Keeper, Keeping


class KalmanStage(Stage[Detected, Predicted]):
    """Predicts each camera's tracks, and sends all that is known of them along with the frame.

    It has them back from `screening` before the camera's next frame.

    Args:
        spec: of every camera's tracker.
        feedback: where the trackers' states come back.
        keeping: where the trackers are kept for the next run; None: they are not.
        clock: the wall clock, for these.
    """

    consumes = Detected
    produces = Predicted
    per_camera = True
    recurrent = True

    def __init__(
        self,
        spec: TrackSpec,
        feedback: Feedback[TrackerState],
        keeping: Keeping | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._spec = spec
        self._feedback = feedback
        self._keeping = keeping
        self._clock = clock or SystemClock()
        self._trackers: dict[str, Tracker] = {}
        self._keepers: dict[str, Keeper] = {}

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Predicted]]:
        frame, detected = packet.frame, packet.payload
        tracker, state = self._as_left(frame)
        with self._feedback.kept(frame.camera, state):
            step = tracker.predict(frame.pts_ns, detected.camera_motion)
        if frame.camera in self._keepers:
            # Before anybody sees the ids that this frame's detections may get.
            self._keepers[frame.camera].keep(frame.pts_ns, coming=len(detected.detections))
        return (packet.carrying(Predicted(detected, step, tracker.saved())),)

    def _as_left(self, frame: FrameInfo) -> tuple[Tracker, TrackerState]:
        """The tracker of the frame's camera after its last frame, and its state."""
        tracker = self._trackers.get(frame.camera)
        if tracker is not None:
            state = self._feedback.take(frame.camera)
            tracker.restore(state)
            return tracker, state
        tracker = self._trackers[frame.camera] = Tracker(self._spec)
        if self._keeping:
            keeper = Keeper(self._keeping, tracker, frame, self._clock)
            self._keepers[frame.camera] = keeper
        return tracker, tracker.saved()

    def flush(self) -> Iterable[Packet[Predicted]]:
        for camera, keeper in self._keepers.items():
            self._trackers[camera].restore(self._feedback.take(camera))
            keeper.finish()
        return ()

    def counts(self) -> Mapping[str, int]:
        if not self._keeping:
            return {}
        return {"resumed": sum(keeper.resumed for keeper in list(self._keepers.values()))}

    def close(self) -> None:
        for keeper in self._keepers.values():
            keeper.close()


def plan(planner: Planner, name: str, config: KalmanConfig) -> Plan:
    """The stage with the configured tracker."""
    config = numbered(planner, name, config)
    kept = keeping(planner, name, config)
    return Plan(KalmanStage, lambda run: KalmanStage(config, run.feedback(name), kept))

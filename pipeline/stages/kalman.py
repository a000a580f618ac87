"""kalman: the first part of the tracker, which expects the tracks in the next frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from engines.errors import EngineError
from pipeline.clock import Clock, SystemClock
from pipeline.config import KalmanConfig
from pipeline.errors import ConfigError
from pipeline.feedback import Feedback
from pipeline.kernels.kalman_predict import kalman_predict
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Detected, Predicted, TrackerState
from pipeline.planning import Plan, Planner
from pipeline.stage import Run, Stage
from pipeline.stages.tracker import FreeIds, keeping, numbered
from pipeline.tracking.forms import FORMS, Form
from pipeline.tracking.kalman import Kalman
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.warm_restart import Keepers, Keeping


class EngineKalman(Kalman):
    """The filter with its prediction on an engine, in float32.

    Args:
        form: the components of the state.
        network: the kernel ``kalman-predict`` for that form.
    """

    def __init__(self, form: Form, network: BoundNetwork) -> None:
        super().__init__(form)
        self._network = network

    def predict(self, dt: float) -> None:
        if not len(self):  # not every engine takes empty tensors
            return
        given = {"state": self._state.astype(np.float32), "dt": np.array([dt], np.float32)}
        (predicted,) = self._network.run(given).values()
        self._state = predicted.astype(np.float64)


class KalmanStage(BoundStage[Detected, Predicted]):
    """Predicts each camera's tracks, and sends all that is known of them along with the frame.

    It has them back from `screening` before the camera's next frame.

    Args:
        spec: of every camera's tracker.
        feedback: where the trackers' states come back.
        network: the kernel ``kalman-predict``, owned by this copy; without it the trackers predict
            by themselves. Where it fails, the frame is blind.
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
        network: BoundNetwork | None = None,
        keeping: Keeping | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(*([network] if network else []))
        self._spec = spec
        self._network = network
        self._feedback = feedback
        self._trackers: dict[str, Tracker] = {}
        self._keepers = Keepers(keeping, clock or SystemClock())
        self._free_ids = FreeIds()

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Predicted]]:
        frame, detected = packet.frame, packet.payload
        tracker, state = self._as_left(frame)
        with self._feedback.kept(frame.camera, state):
            try:
                step = tracker.predict(frame.pts_ns, detected.camera_motion)
            except EngineError as error:  # the tracks are where they were
                packet = packet.marked(Status.BLIND, f"kalman: {error}")
                plain = Tracker(self._spec)
                plain.restore(state)
                step = plain.predict(frame.pts_ns, detected.camera_motion)
                tracker.restore(plain.saved())
        # Before anybody sees the ids that this frame's detections may get.
        self._keepers.keep(frame, coming=len(detected.detections))
        return (packet.carrying(Predicted(detected, step, tracker.saved())),)

    def _as_left(self, frame: FrameInfo) -> tuple[Tracker, TrackerState]:
        """The tracker of the frame's camera after its last frame, and its state."""
        tracker = self._trackers.get(frame.camera)
        if tracker is not None:
            state = self._feedback.take(frame.camera)
            tracker.restore(state)
            return tracker, state
        motion = None
        if self._network is not None:
            motion = EngineKalman(FORMS[self._spec.motion_model], self._network)
        tracker = self._trackers[frame.camera] = Tracker(self._spec, motion=motion)
        self._keepers.begin(tracker, frame)
        self._free_ids.begin(frame.camera, tracker)
        return tracker, tracker.saved()

    def flush(self) -> Iterable[Packet[Predicted]]:
        for camera, tracker in self._trackers.items():
            tracker.restore(self._feedback.take(camera))
        self._keepers.finish()
        return ()

    def succeed(self, before: Stage[Any, Any]) -> None:
        if isinstance(before, KalmanStage):
            self._free_ids.take_over(before._free_ids, before._trackers)

    def forget(self, camera: str) -> None:
        if camera not in self._trackers:
            return
        tracker = self._trackers.pop(camera)
        tracker.restore(self._feedback.take(camera))  # else it would wait there for its next frame
        self._free_ids.left(camera, tracker)
        self._keepers.forget(camera)

    def counts(self) -> Mapping[str, int]:
        return {**super().counts(), **self._keepers.counts()}

    def close(self) -> None:
        super().close()
        self._keepers.close()


def plan(planner: Planner, name: str, config: KalmanConfig) -> Plan:
    """The stage with the configured tracker, on the configured engine if there is one."""
    config = numbered(planner, name, config)
    kept = keeping(planner, name, config)
    if not config.engine:
        return Plan(KalmanStage, lambda run: KalmanStage(config, run.feedback(name), keeping=kept))
    if config.motion != "kalman":
        where = planner.config.where("stages", name, "engine")
        raise ConfigError(f"{where}: an engine runs motion: kalman only; leave one of them out")
    kernel = kalman_predict(FORMS[config.motion_model])
    bind, binding = planner.kernels(name, config, kernel)

    def make(run: Run) -> KalmanStage:
        return KalmanStage(config, run.feedback(name), bind(kernel), kept)

    return Plan(KalmanStage, make, binding)

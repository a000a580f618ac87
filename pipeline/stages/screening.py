"""screening: the last part of the tracker, which updates the tracks and gives out the good ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pipeline.config import KalmanConfig, ScreeningConfig
from pipeline.feedback import Feedback
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Matched, Tracked, TrackerState
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage
from pipeline.stages.tracker import numbered, tracker_for
from pipeline.tracking.known import Found
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.voting import Polls


class ScreeningStage(Stage[Matched, Tracked]):
    """Corrects, ends and starts tracks, gives out the good ones, and all of them back to `kalman`.

    Of itself it knows only what was said of the tracks' looks.

    Args:
        spec: of every camera's tracker.
        feedback: back to `kalman`.
    """

    consumes = Matched
    produces = Tracked
    per_camera = True

    def __init__(self, spec: TrackSpec, feedback: Feedback[TrackerState]) -> None:
        self._spec = spec
        self._feedback = feedback
        self._trackers: dict[str, Tracker] = {}
        self._polls: defaultdict[str, Polls] = defaultdict(Polls)

    def process(self, packet: Packet[Matched]) -> Iterable[Packet[Tracked]]:
        frame, payload, detected = packet.frame, packet.payload, packet.payload.detected
        tracker = self._tracker(frame)
        tracker.restore(payload.state)
        with self._feedback.kept(frame.camera, payload.state):
            if payload.match is None:
                tracks = tracker.predicted()
            else:
                found = Found(detected.detections, detected.embeddings)
                tracks = tracker.apply(found, payload.match)
            tracks = self._polls[frame.camera].inherited(tracks, detected.looks, frame.pts_ns)
        state = tracker.saved()
        self._feedback.give(frame.camera, state)
        result = Tracked(detected.picture, detected.detections, tracks, detected.proposals, state)
        return (packet.carrying(result),)

    def forget(self, camera: str) -> None:
        self._trackers.pop(camera, None)
        self._polls.pop(camera, None)

    def close(self) -> None:
        self._feedback.close()

    def _tracker(self, frame: FrameInfo) -> Tracker:
        """One for pictures of the size of this camera's."""
        if frame.camera not in self._trackers:
            self._trackers[frame.camera] = tracker_for(self._spec, frame)
        return self._trackers[frame.camera]


def plan(planner: Planner, name: str, config: ScreeningConfig) -> Plan:
    """The stage for the tracker before it."""
    kalman, tracker = planner.ahead(name, KalmanConfig)
    spec = numbered(planner, kalman, tracker)
    return Plan(
        ScreeningStage,
        lambda run: ScreeningStage(spec, run.feedback(kalman)),
        returns_to=kalman,
    )

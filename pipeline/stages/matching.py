"""matching: the second part of the tracker, which finds out which track has which detection."""

from __future__ import annotations

from collections.abc import Iterable

from engines.errors import EngineError
from pipeline.config import KalmanConfig, MatchingConfig
from pipeline.feedback import Feedback
from pipeline.kernels.cosine import cosine
from pipeline.kernels.iou import iou
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Matched, Predicted, TrackerState
from pipeline.planning import Plan, Planner
from pipeline.stage import Run
from pipeline.stages.tracker import check_rounds, similarity
from pipeline.tracking.known import Found
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker


class MatchingStage(BoundStage[Predicted, Matched]):
    """Compares the predicted tracks with the detections; it knows nothing of any other frame.

    Args:
        spec: of the tracker.
        feedback: back to `kalman`.
        networks: the kernels ``iou`` and ``cosine``, owned by this copy; without them the tracker
            compares by itself. Where one fails, the frame is blind.
    """

    consumes = Predicted
    produces = Matched

    def __init__(
        self,
        spec: TrackSpec,
        feedback: Feedback[TrackerState],
        networks: tuple[BoundNetwork, BoundNetwork] | None = None,
    ) -> None:
        super().__init__(*(networks or ()))
        self._tracker = Tracker(spec, similarity(*networks) if networks else None)
        self._feedback = feedback

    def process(self, packet: Packet[Predicted]) -> Iterable[Packet[Matched]]:
        payload, match = packet.payload, None
        if packet.seen:
            detected = payload.detected
            self._tracker.restore(payload.state)
            with self._feedback.kept(packet.frame.camera, payload.state):
                try:
                    found = Found(detected.detections, detected.embeddings)
                    match = self._tracker.match(payload.step, found)
                except EngineError as error:
                    packet = packet.marked(Status.BLIND, f"matching: {error}")
        return (packet.carrying(Matched(payload.detected, match, payload.state)),)


def plan(planner: Planner, name: str, config: MatchingConfig) -> Plan:
    """The stage for the tracker before it, its cost on the configured engine if there is one."""
    kalman, spec = planner.ahead(name, KalmanConfig)
    if not config.engine:
        return Plan(MatchingStage, lambda run: MatchingStage(spec, run.feedback(kalman)))
    with planner.located("stages", name, "engine"):
        check_rounds(spec)
    bind, binding = planner.kernels(name, config, iou(), cosine())

    def make(run: Run) -> MatchingStage:
        return MatchingStage(spec, run.feedback(kalman), (bind(iou()), bind(cosine())))

    return Plan(MatchingStage, make, binding)

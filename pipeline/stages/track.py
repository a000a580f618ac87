"""track: detections get their identities."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config import TrackConfig
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected, Tracked
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker


class TrackStage(Stage[Detected, Tracked]):
    """A tracker for each camera; where nothing is known about a frame, the tracks coast.

    Args:
        spec: of every camera's tracker.
    """

    consumes = Detected
    produces = Tracked
    per_camera = True

    def __init__(self, spec: TrackSpec) -> None:
        self._spec = spec
        self._trackers: dict[str, Tracker] = {}

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Tracked]]:
        camera = packet.frame.camera
        tracker = self._trackers.get(camera)
        if tracker is None:
            tracker = self._trackers[camera] = Tracker(self._spec)
        payload = packet.payload
        if packet.status in (Status.BLIND, Status.COASTING):
            tracks = tracker.coast(packet.frame.pts_ns)
        else:
            tracks = tracker.update(payload.detections, packet.frame.pts_ns, payload.embeddings)
        return (packet.carrying(Tracked(payload.picture, payload.detections, tracks)),)


def plan(planner: Planner, name: str, config: TrackConfig) -> Plan:
    """The stage with the configured tracker."""
    return Plan(TrackStage, lambda run: TrackStage(config))

"""track: detections get their identities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from engines.errors import EngineError
from pipeline.clock import Clock, SystemClock
from pipeline.config import TrackConfig
from pipeline.kernels.cosine import cosine
from pipeline.kernels.iou import iou
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Detected, Tracked
from pipeline.planning import Plan, Planner
from pipeline.stage import Run, Stage
from pipeline.stages.tracker import (
    FreeIds,
    check_rounds,
    keeping,
    numbered,
    similarity,
    tracker_for,
)
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.voting import Polls
from pipeline.tracking.warm_restart import Keepers, Keeping


class TrackStage(BoundStage[Detected, Tracked]):
    """A tracker for each camera; where nothing is known about a frame, the tracks coast.

    Args:
        spec: of every camera's tracker.
        networks: the kernels ``iou`` and ``cosine``, owned by this copy; without them the trackers
            compare by themselves. Where one fails, the frame is blind.
        keeping: where the trackers are kept for the next run; None: they are not.
        clock: the wall clock, for these.
    """

    consumes = Detected
    produces = Tracked
    per_camera = True

    def __init__(
        self,
        spec: TrackSpec,
        networks: tuple[BoundNetwork, BoundNetwork] | None = None,
        keeping: Keeping | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(*(networks or ()))
        self._spec = spec
        self._similarity = similarity(*networks) if networks else None
        self._trackers: dict[str, Tracker] = {}
        self._keepers = Keepers(keeping, clock or SystemClock())
        self._free_ids = FreeIds()
        self._polls: defaultdict[str, Polls] = defaultdict(Polls)

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Tracked]]:
        tracker = self._tracker(packet.frame)
        payload, pts_ns = packet.payload, packet.frame.pts_ns
        if not packet.seen:
            tracks = tracker.coast(pts_ns, payload.camera_motion)
        else:
            try:
                tracks = tracker.update(
                    payload.detections, pts_ns, payload.embeddings, payload.camera_motion
                )
            except EngineError as error:
                tracks = tracker.predicted()
                packet = packet.marked(Status.BLIND, f"track: {error}")
        self._keepers.keep(packet.frame)
        tracks = self._polls[packet.frame.camera].inherited(tracks, payload.looks, pts_ns)
        found = Tracked(payload.picture, payload.detections, tracks, payload.proposals)
        return (packet.carrying(found),)

    def flush(self) -> Iterable[Packet[Tracked]]:
        self._keepers.finish()
        return ()

    def succeed(self, before: Stage[Any, Any]) -> None:
        if isinstance(before, TrackStage):
            self._free_ids.take_over(before._free_ids, before._trackers)

    def forget(self, camera: str) -> None:
        if camera in self._trackers:
            self._free_ids.left(camera, self._trackers.pop(camera))
        self._polls.pop(camera, None)
        self._keepers.forget(camera)

    def counts(self) -> Mapping[str, int]:
        return {**super().counts(), **self._keepers.counts()}

    def close(self) -> None:
        super().close()
        self._keepers.close()

    def _tracker(self, frame: FrameInfo) -> Tracker:
        """That of the frame's camera; a new one at the camera's first frame."""
        if frame.camera not in self._trackers:
            tracker = tracker_for(self._spec, frame, self._similarity)
            self._keepers.begin(tracker, frame)
            self._free_ids.begin(frame.camera, tracker)
            self._trackers[frame.camera] = tracker
        return self._trackers[frame.camera]


def plan(planner: Planner, name: str, config: TrackConfig) -> Plan:
    """The stage with the configured tracker, its cost on the configured engine if there is one."""
    config = numbered(planner, name, config)
    kept = keeping(planner, name, config)
    if not config.engine:
        return Plan(TrackStage, lambda run: TrackStage(config, keeping=kept))
    with planner.located("stages", name, "engine"):
        check_rounds(config)
    bind, binding = planner.kernels(name, config, iou(), cosine())

    def make(run: Run) -> TrackStage:
        return TrackStage(config, (bind(iou()), bind(cosine())), kept)

    return Plan(TrackStage, make, binding)

"""track: detections get their identities."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.clock import Clock, SystemClock
from pipeline.config import TrackConfig
from pipeline.config.schema import NetworkConfig
from pipeline.errors import ConfigError
from pipeline.kernels.cosine import cosine
from pipeline.kernels.iou import iou
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Detected, Tracked
from pipeline.planning import Plan, Planner
from pipeline.stage import Run
from pipeline.tracking.cost import Pairs, Similarity, positive
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.voting import Polls
from pipeline.tracking.warm_restart import Keeper, Keeping


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
        self._similarity = _similarity(*networks) if networks else Similarity()
        self._keeping = keeping
        self._clock = clock or SystemClock()
        self._trackers: dict[str, Tracker] = {}
        self._keepers: dict[str, Keeper] = {}
        self._polls: defaultdict[str, Polls] = defaultdict(Polls)

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Tracked]]:
        tracker = self._tracker(packet.frame)
        payload, pts_ns = packet.payload, packet.frame.pts_ns
        if packet.status in (Status.BLIND, Status.COASTING):
            tracks = tracker.coast(pts_ns, payload.camera_motion)
        else:
            try:
                tracks = tracker.update(
                    payload.detections, pts_ns, payload.embeddings, payload.camera_motion
                )
            except EngineError as error:
                tracks = tracker.predicted()
                packet = packet.marked(Status.BLIND, f"track: {error}")
        if self._keeping:
            self._keepers[packet.frame.camera].keep(pts_ns)
        tracks = self._polls[packet.frame.camera].inherited(tracks, payload.looks, pts_ns)
        found = Tracked(payload.picture, payload.detections, tracks, payload.proposals)
        return (packet.carrying(found),)

    def flush(self) -> Iterable[Packet[Tracked]]:
        for keeper in self._keepers.values():
            keeper.finish()
        return ()

    def counts(self) -> Mapping[str, int]:
        if not self._keeping:
            return super().counts()
        resumed = sum(keeper.resumed for keeper in list(self._keepers.values()))
        return {**super().counts(), "resumed": resumed}

    def close(self) -> None:
        super().close()
        for keeper in self._keepers.values():
            keeper.close()

    def _tracker(self, frame: FrameInfo) -> Tracker:
        """That of the frame's camera; a new one at the camera's first frame."""
        if frame.camera not in self._trackers:
            screening = self._spec.screening.in_pixels((frame.width, frame.height))
            spec = self._spec.model_copy(update={"screening": screening})
            tracker = Tracker(spec, self._similarity)
            if self._keeping:
                keeper = Keeper(self._keeping, tracker, frame, self._clock)
                self._keepers[frame.camera] = keeper
            self._trackers[frame.camera] = tracker
        return self._trackers[frame.camera]


def _similarity(on_iou: BoundNetwork, on_cosine: BoundNetwork) -> Similarity:
    """What compares on engines, which see no empty lists: not all of them can."""

    def overlaps(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Pairs:
        return positive(_matrix(on_iou, a_xyxy, b_xyxy))

    def cosines(a: NDArray[Any], b: NDArray[Any]) -> Floats:
        return _matrix(on_cosine, a, b)

    return Similarity(overlaps, cosines)


def _matrix(network: BoundNetwork, a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """What a kernel of two lists gives, (N, M)."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    (matrix,) = network.run({"a": a.astype(np.float32), "b": b.astype(np.float32)}).values()
    return matrix.astype(np.float64)


def plan(planner: Planner, name: str, config: TrackConfig) -> Plan:
    """The stage with the configured tracker, its cost on the configured engine if there is one."""
    with planner.located("stages", name):
        screening = config.screening.numbered(planner.labels(name))
    config = config.model_copy(update={"screening": screening})
    keeping = _keeping(planner, name, config)
    if not config.engine:
        return Plan(TrackStage, lambda run: TrackStage(config, keeping=keeping))
    with planner.located("stages", name, "engine"):
        _check_rounds(config)
    bind, binding = planner.kernels(name, config, iou(), cosine())

    def make(run: Run) -> TrackStage:
        return TrackStage(config, (bind(iou()), bind(cosine())), keeping)

    return Plan(TrackStage, make, binding)


def _keeping(planner: Planner, name: str, config: TrackConfig) -> Keeping | None:
    """How the trackers are kept; for those of another tracker or other models they are not."""
    if config.state is None:
        return None
    tracker = config.model_dump(mode="json", include=TrackSpec.model_fields.keys() - {"preset"})
    stages = planner.config.stages.values()
    models = [(s.model, s.weights) for s in stages if isinstance(s, NetworkConfig)]
    made_by = json.dumps([tracker, models, planner.labels(name)], sort_keys=True)
    return Keeping(Path(config.state), config.state_every_s, config.resume_within_s, made_by)


def _check_rounds(config: TrackConfig) -> None:
    """Raises `ConfigError` where a round compares what no kernel does."""
    for round_name in config.association:
        kind = config.rounds[round_name].similarity
        if kind not in ("iou", "cosine"):
            raise ConfigError(
                f"no engine compares by {kind}, as the round {round_name} does; leave `engine` out "
                "or compare by iou"
            )

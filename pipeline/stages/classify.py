"""classify: second networks name attributes of detections, or of tracks, which vote on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ClassifyConfig
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.attributes import AttributeEntry
from pipeline.network import BoundNetwork
from pipeline.packet import Packet
from pipeline.payloads import Detected, Tracked
from pipeline.planning import Plan, Planner
from pipeline.recognition.looks import Looks
from pipeline.stages.crops import CropStage, DueDetections, Outputs, Seen, large_enough
from pipeline.tracking.cost import Indices
from pipeline.tracking.voting import Polls


@dataclass(frozen=True, slots=True)
class ClassifySpec:
    """What is looked at, and how what the network gives is read.

    Attributes:
        entry: of the model's manifest.
        classes: names of what the network tells apart.
        of: labels of the objects that are looked at; None: all.
        min_size: narrower or lower objects are not, pixels.
        min_score: objects with less are not, 0..1.
        sure: share of a track's votes from which on a value stands, 0..1.
        refresh_s: it is looked at again after so long, seconds.
    """

    entry: AttributeEntry
    classes: tuple[str, ...]
    of: tuple[int, ...] | None = None
    min_size: int = 1
    min_score: float = 0.0
    sure: float = 0.9
    refresh_s: float = 2.0

    def read(self, outputs: Outputs) -> Mapping[str, Looks]:
        """What the network said, by attribute."""
        return self.entry.read(outputs, self.classes)

    def wants(
        self,
        boxes_xyxy: NDArray[np.float32],
        labels: NDArray[np.int32],
        scores: NDArray[np.float32],
        picture: Picture,
    ) -> NDArray[np.bool_]:
        """Which of N objects may be looked at: mask (N,)."""
        good = large_enough(boxes_xyxy, picture, self.min_size) & (scores >= self.min_score)
        return good if self.of is None else good & np.isin(labels, self.of)


class _ClassifyStage(CropStage[Seen]):
    """What both have in common.

    Args:
        network: owned by this copy.
        preprocessor: stateless; may be shared between copies.
        spec: what is looked at.
    """

    tells = "attributes"
    per_camera = True

    def __init__(
        self, network: BoundNetwork, preprocessor: Preprocessor, spec: ClassifySpec
    ) -> None:
        super().__init__(network, preprocessor, spec.entry.axis)
        self._spec = spec


class ClassifyDetectionsStage(_ClassifyStage[Detected]):
    """Looks at detections where it is needed, as `embed` does; the tracker passes the looks on."""

    consumes = Detected
    produces = Detected

    def __init__(
        self, network: BoundNetwork, preprocessor: Preprocessor, spec: ClassifySpec
    ) -> None:
        super().__init__(network, preprocessor, spec)
        self._due = DueDetections(spec.refresh_s)

    def forget(self, camera: str) -> None:
        self._due.forget(camera)

    def _boxes(self, payload: Detected) -> NDArray[np.float32]:
        return payload.detections.boxes_xyxy

    def _wanted(self, packet: Packet[Detected]) -> Indices:
        found, picture = packet.payload.detections, packet.payload.picture
        good = self._spec.wants(found.boxes_xyxy, found.labels, found.scores, picture)
        return self._due.of(packet, np.flatnonzero(good))

    def _told(self, packet: Packet[Detected], rows: Indices, outputs: Outputs) -> Packet[Detected]:
        payload = packet.payload
        count = len(payload.detections)
        looks = {name: seen.spread(rows, count) for name, seen in self._spec.read(outputs).items()}
        return packet.carrying(replace(payload, looks={**payload.looks, **looks}))

    def counts(self) -> Mapping[str, int]:
        return {**super().counts(), **self._due.counts()}


class ClassifyTracksStage(_ClassifyStage[Tracked]):
    """Looks at each track until its vote is sure, and then now and then.

    Only where it was detected in this frame: a prediction may show somebody else. Where nobody
    looks, or the engine fails, a track keeps what was said of it.
    """

    consumes = Tracked
    produces = Tracked

    def __init__(
        self, network: BoundNetwork, preprocessor: Preprocessor, spec: ClassifySpec
    ) -> None:
        super().__init__(network, preprocessor, spec)
        self._polls: defaultdict[str, Polls] = defaultdict(Polls)
        self._counts: Counter[str] = Counter({"tracks": 0, "looked at": 0})

    def forget(self, camera: str) -> None:
        self._polls.pop(camera, None)

    def process_batch(self, packets: Sequence[Packet[Tracked]]) -> list[list[Packet[Tracked]]]:
        # Whom to look at depends on what was seen in the camera's last frame.
        told: list[list[Packet[Tracked]]] = [[] for _ in packets]
        for turn in _turns(packets):
            results = super().process_batch([packets[index] for index in turn])
            for index, result in zip(turn, results, strict=True):
                told[index] = result
        return told

    def _boxes(self, payload: Tracked) -> NDArray[np.float32]:
        return payload.tracks.boxes_xyxy

    def _wanted(self, packet: Packet[Tracked]) -> Indices:
        tracks, spec = packet.payload.tracks, self._spec
        good = spec.wants(tracks.boxes_xyxy, tracks.labels, tracks.scores, packet.payload.picture)
        good &= tracks.unseen_s == 0
        self._counts["tracks"] += int(np.count_nonzero(good))
        polls = self._polls[packet.frame.camera]
        good &= polls.due(tracks.ids, packet.frame.pts_ns, spec.sure, spec.refresh_s)
        self._counts["looked at"] += int(np.count_nonzero(good))
        return np.flatnonzero(good)

    def _told(self, packet: Packet[Tracked], rows: Indices, outputs: Outputs) -> Packet[Tracked]:
        polls, ids = self._polls[packet.frame.camera], packet.payload.tracks.ids[rows]
        polls.cast(ids, self._spec.read(outputs), packet.frame.pts_ns)
        return self._untold(packet)

    def _untold(self, packet: Packet[Tracked]) -> Packet[Tracked]:
        polls, tracks = self._polls[packet.frame.camera], packet.payload.tracks
        known = polls.known(tracks, packet.frame.pts_ns)
        return packet.carrying(replace(packet.payload, tracks=known))

    def counts(self) -> Mapping[str, int]:
        return {**super().counts(), **self._counts}


def _turns(packets: Sequence[Packet[Tracked]]) -> list[list[int]]:
    """Indices of the packets, in groups in which no camera has two; each camera's in order."""
    turns: list[list[int]] = []
    seen: Counter[str] = Counter()
    for index, packet in enumerate(packets):
        turn = seen[packet.frame.camera]
        seen[packet.frame.camera] += 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(index)
    return turns


def plan(planner: Planner, name: str, config: ClassifyConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    package = planner.model(name, ("classify", "recognise"), config.model, config.weights)
    network, binding = planner.network(name, config, package)
    preprocessor = planner.preprocessor(name, package)
    entry = package.manifest.attributes
    assert entry is not None  # `load_model` refuses such a manifest
    spec = ClassifySpec(
        entry,
        package.manifest.class_names,
        planner.numbers(name, config.of, "of"),
        config.min_size,
        config.min_score,
        config.sure,
        config.refresh_s,
    )
    stage = ClassifyTracksStage if _follows_tracker(planner, name) else ClassifyDetectionsStage
    return Plan(stage, lambda run: stage(network(), preprocessor, spec), binding)


def _follows_tracker(planner: Planner, name: str) -> bool:
    """Whether tracks reach the stage, or detections."""
    stages = planner.config.stages
    while name in stages:
        if stages[name].kind in ("track", "screening"):
            return True
        name = stages[name].after[0]
    return False

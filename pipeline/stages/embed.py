"""embed: an appearance vector for each detection that needs one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.config import EmbedConfig
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected
from pipeline.planning import Plan, Planner
from pipeline.stage import Run
from pipeline.tracking.cost import Indices
from pipeline.tracking.freshness import Freshness
from pipeline.tracking.gallery import Embeddings, normalised

#: Crops that are made and run at a time: 12 MB of 256x128 in float32.
CROPS = 32

#: Nothing is known of the objects in such a frame, so it goes on as it came.
_UNDETECTED = (Status.BLIND, Status.COASTING)
_NOTHING = np.empty(0, np.intp)


class EmbedStage(BoundStage[Detected, Detected]):
    """Runs a ReID network on crops from the full-resolution picture, of all packets together.

    Detections below `min_score` are not looked at: they are mostly hidden, so their crops show
    somebody else. They get the zero vector, which resembles nothing, and so does a box that holds
    no pixel of the picture.

    Where its engine fails, the frame goes on without embeddings: the tracker then matches by
    position alone, which is what it does where no `embed` stage is configured.

    Args:
        network: owned by this copy.
        preprocessor: stateless; may be shared between copies.
        dimension: of an embedding.
        min_score: of the detections that are looked at, 0..1.
    """

    consumes = Detected
    produces = Detected

    def __init__(
        self,
        network: BoundNetwork,
        preprocessor: Preprocessor,
        dimension: int,
        min_score: float = 0.0,
    ) -> None:
        super().__init__(network)
        self._network = network
        self._preprocessor = preprocessor
        self._dimension = dimension
        self._min_score = min_score

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Detected]]:
        return self.process_batch([packet])[0]

    def process_batch(self, packets: Sequence[Packet[Detected]]) -> list[list[Packet[Detected]]]:
        rows = [
            _NOTHING if packet.status in _UNDETECTED else self._wanted(packet) for packet in packets
        ]
        return [[packet] for packet in self._looked_at(packets, rows)]

    def _wanted(self, packet: Packet[Detected]) -> Indices:
        """Rows (K,) of the detections to look at."""
        found = packet.payload.detections
        good = found.scores >= self._min_score
        good &= _holds_pixels(found.boxes_xyxy, packet.payload.picture)
        return np.flatnonzero(good)

    def _looked_at(
        self, packets: Sequence[Packet[Detected]], rows: Sequence[Indices]
    ) -> list[Packet[Detected]]:
        """The packets with embeddings of these rows of their detections."""
        try:
            embeddings = self._embeddings([packet.payload for packet in packets], rows)
        except EngineError as error:
            if len(packets) == 1:
                return [packets[0].marked(Status.DAMAGED, f"no embeddings: {error}")]
            alone = (self._looked_at([p], [own]) for p, own in zip(packets, rows, strict=True))
            return [packet for packets in alone for packet in packets]
        return [
            packet
            if packet.status in _UNDETECTED
            else packet.carrying(replace(packet.payload, embeddings=own))
            for packet, own in zip(packets, embeddings, strict=True)
        ]

    def _embeddings(
        self, payloads: Sequence[Detected], rows: Sequence[Indices]
    ) -> list[Embeddings]:
        """(N, D) of the N detections of each payload, zero but in its `rows`."""
        owner = np.arange(len(payloads)).repeat([len(own) for own in rows])
        boxes = [p.detections.boxes_xyxy[own] for p, own in zip(payloads, rows, strict=True)]
        vectors = self._vectors([p.picture for p in payloads], owner, np.concatenate(boxes))
        embeddings = []
        for index, (payload, own) in enumerate(zip(payloads, rows, strict=True)):
            of_all = np.zeros((len(payload.detections), self._dimension), np.float32)
            of_all[own] = vectors[owner == index]
            embeddings.append(of_all)
        return embeddings

    def _vectors(
        self, pictures: Sequence[Picture], owner: Indices, boxes_xyxy: NDArray[np.float32]
    ) -> Embeddings:
        """(K, D), L2-normalised, of K boxes (K, 4), each in the picture of its `owner` (K,)."""
        vectors = np.empty((len(boxes_xyxy), self._dimension), np.float32)
        for start in range(0, len(vectors), CROPS):
            part = slice(start, start + CROPS)
            crops = [
                self._preprocessor.crops(pictures[index], boxes_xyxy[part][owner[part] == index])
                for index in np.unique(owner[part])
            ]
            (output,) = self._network.run_rows(np.concatenate(crops)).values()
            vectors[part] = output.reshape(len(output), -1)
        return normalised(vectors)


class SparingEmbedStage(EmbedStage):
    """Looks only where position alone may mislead; see `pipeline.tracking.freshness`.

    A look that failed is made up for when it is due again.

    Args:
        refresh_s: a detection is stale after so long without a look, seconds.
    """

    per_camera = True

    def __init__(
        self,
        network: BoundNetwork,
        preprocessor: Preprocessor,
        dimension: int,
        min_score: float,
        refresh_s: float,
    ) -> None:
        super().__init__(network, preprocessor, dimension, min_score)
        self._refresh_s = refresh_s
        self._freshness: dict[str, Freshness] = {}
        self._counts = {"detections": 0, "looked at": 0}

    def _wanted(self, packet: Packet[Detected]) -> Indices:
        good = super()._wanted(packet)
        camera = packet.frame.camera
        if camera not in self._freshness:
            self._freshness[camera] = Freshness(self._refresh_s)
        boxes_xyxy = packet.payload.detections.boxes_xyxy[good]
        due = self._freshness[camera].due(boxes_xyxy, packet.frame.pts_ns)
        self._counts["detections"] += len(due)
        self._counts["looked at"] += int(np.count_nonzero(due))
        return good[due]

    def counts(self) -> Mapping[str, int]:
        return {**super().counts(), **self._counts}


def _holds_pixels(boxes_xyxy: NDArray[np.float32], picture: Picture) -> NDArray[np.bool_]:
    """Which boxes are at least a pixel wide and high inside the picture: mask (N,)."""
    low = np.maximum(boxes_xyxy[:, :2], 0)
    high = np.minimum(boxes_xyxy[:, 2:], (picture.width, picture.height))
    # Of a box that is not a number, no comparison holds.
    inside: NDArray[np.bool_] = np.all(high - low >= 1, axis=1)
    return inside


def plan(planner: Planner, name: str, config: EmbedConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    package = planner.model(name, "embed", config.model, config.weights)
    network, binding = planner.network(name, config, package)
    preprocessor = planner.preprocessor(name, package)
    embedding = package.manifest.embedding
    assert embedding is not None  # `load_model` refuses such a manifest
    dim, min_score = embedding.dim, config.min_score

    def sparing(run: Run) -> EmbedStage:
        return SparingEmbedStage(network(), preprocessor, dim, min_score, config.refresh_s)

    def thorough(run: Run) -> EmbedStage:
        return EmbedStage(network(), preprocessor, dim, min_score)

    if config.when == "needed":
        return Plan(SparingEmbedStage, sparing, binding)
    return Plan(EmbedStage, thorough, binding)

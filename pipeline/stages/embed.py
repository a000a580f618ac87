"""embed: an appearance vector for each detection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.config import EmbedConfig
from pipeline.detection.detections import Detections
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected
from pipeline.planning import Plan, Planner
from pipeline.tracking.gallery import normalised


class EmbedStage(BoundStage[Detected, Detected]):
    """Runs a ReID network on crops from the full-resolution picture.

    Detections below `min_score` are not looked at: they are mostly hidden, so their crops show
    somebody else. They get the zero vector, which resembles nothing.

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
        if packet.status is Status.BLIND:
            return (packet,)
        payload = packet.payload
        try:
            embeddings = self._embed(payload.picture, payload.detections)
        except EngineError as error:
            return (packet.marked(Status.DAMAGED, f"no embeddings: {error}"),)
        return (packet.carrying(replace(payload, embeddings=embeddings)),)

    def _embed(self, picture: Picture, detections: Detections) -> NDArray[np.float32]:
        embeddings = np.zeros((len(detections), self._dimension), np.float32)
        seen = np.flatnonzero(detections.scores >= self._min_score)
        if len(seen):
            crops = self._preprocessor.crops(picture, detections.boxes_xyxy[seen])
            batches = [crops] if self._network.batches else np.split(crops, len(crops))
            parts = [next(iter(self._network.run(batch).values())) for batch in batches]
            embeddings[seen] = normalised(np.concatenate(parts).reshape(len(seen), -1))
        return embeddings


def plan(planner: Planner, name: str, config: EmbedConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    package = planner.model(name, "embed", config.model, config.weights)
    network, binding = planner.network(name, config, package)
    preprocessor = planner.preprocessor(name, package)
    embedding = package.manifest.embedding
    assert embedding is not None  # `load_model` refuses such a manifest
    dim, min_score = embedding.dim, config.min_score
    return Plan(
        EmbedStage, lambda run: EmbedStage(network(), preprocessor, dim, min_score), binding
    )

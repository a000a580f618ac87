"""embed: an appearance vector for each detection."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.config import EmbedConfig
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.network import BoundNetwork
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage


class EmbedStage(Stage[Detected, Detected]):
    """Runs a ReID network on crops from the full-resolution picture.

    Where its engine fails, the frame goes on without embeddings: the tracker then matches by
    position alone, which is what it does where no `embed` stage is configured.

    Args:
        network: owned by this copy.
        preprocessor: stateless; may be shared between copies.
        dimension: of an embedding.
    """

    consumes = Detected
    produces = Detected

    def __init__(self, network: BoundNetwork, preprocessor: Preprocessor, dimension: int) -> None:
        self._network = network
        self._preprocessor = preprocessor
        self._dimension = dimension

    def open(self) -> None:
        self._network.open()
        self.runs_on = self._network.runs_on

    def process(self, packet: Packet[Detected]) -> Iterable[Packet[Detected]]:
        if packet.status is Status.BLIND:
            return (packet,)
        payload = packet.payload
        try:
            embeddings = self._embed(payload.picture, payload.detections.boxes_xyxy)
        except EngineError as error:
            return (packet.marked(Status.DAMAGED, f"no embeddings: {error}"),)
        return (packet.carrying(Detected(payload.picture, payload.detections, embeddings)),)

    def _embed(self, picture: Picture, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(boxes_xyxy):
            return np.empty((0, self._dimension), np.float32)
        crops = self._preprocessor.crops(picture, boxes_xyxy)
        batches = [crops] if self._network.batches else np.split(crops, len(crops))
        parts = [next(iter(self._network.run(batch).values())) for batch in batches]
        return _unit(np.concatenate(parts).reshape(len(crops), -1))

    def close(self) -> None:
        self._network.close()


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return unit


def plan(planner: Planner, name: str, config: EmbedConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    package = planner.model(name, "embed", config.model, config.weights)
    network, binding = planner.network(name, config, package)
    preprocessor = planner.preprocessor(name, package)
    embedding = package.manifest.embedding
    assert embedding is not None  # `load_model` refuses such a manifest
    return Plan(EmbedStage, lambda run: EmbedStage(network(), preprocessor, embedding.dim), binding)

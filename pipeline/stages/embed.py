"""embed: an appearance vector for each detection that needs one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EmbedConfig
from pipeline.governor import Governor
from pipeline.media.preprocess import Preprocessor
from pipeline.network import BoundNetwork
from pipeline.packet import Packet
from pipeline.payloads import Detected
from pipeline.planning import Plan, Planner
from pipeline.stage import Run
from pipeline.stages.crops import CropStage, DueDetections, Outputs, large_enough
from pipeline.tracking.cost import Indices
from pipeline.tracking.gallery import normalised


class EmbedStage(CropStage[Detected]):
    """Runs a ReID network on the crops of detections.

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
        governor: of the run; under overload it has nobody looked at.
    """

    consumes = Detected
    produces = Detected
    tells = "embeddings"

    def __init__(
        self,
        network: BoundNetwork,
        preprocessor: Preprocessor,
        dimension: int,
        min_score: float = 0.0,
        governor: Governor | None = None,
    ) -> None:
        super().__init__(network, preprocessor)
        self._governor = governor
        self._dimension = dimension
        self._min_score = min_score

    def _boxes(self, payload: Detected) -> NDArray[np.float32]:
        return payload.detections.boxes_xyxy

    def _wanted(self, packet: Packet[Detected]) -> Indices | None:
        if self._governor is not None and self._governor.spares_reid(packet):
            return None
        found = packet.payload.detections
        good = found.scores >= self._min_score
        good &= large_enough(found.boxes_xyxy, packet.payload.picture)
        return np.flatnonzero(good)

    def _told(self, packet: Packet[Detected], rows: Indices, outputs: Outputs) -> Packet[Detected]:
        (vectors,) = outputs.values()
        embeddings = np.zeros((len(packet.payload.detections), self._dimension), np.float32)
        embeddings[rows] = normalised(vectors.reshape(len(rows), self._dimension))
        return packet.carrying(replace(packet.payload, embeddings=embeddings))


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
        governor: Governor | None = None,
    ) -> None:
        super().__init__(network, preprocessor, dimension, min_score, governor)
        self._due = DueDetections(refresh_s)

    def _wanted(self, packet: Packet[Detected]) -> Indices | None:
        rows = super()._wanted(packet)
        return None if rows is None else self._due.of(packet, rows)

    def forget(self, camera: str) -> None:
        self._due.forget(camera)

    def counts(self) -> Mapping[str, int]:
        return {**super().counts(), **self._due.counts()}


def plan(planner: Planner, name: str, config: EmbedConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    package = planner.model(name, "embed", config.model, config.weights)
    network, binding = planner.network(name, config, package)
    preprocessor = planner.preprocessor(name, package)
    embedding = package.manifest.embedding
    assert embedding is not None  # `load_model` refuses such a manifest
    dim, min_score = embedding.dim, config.min_score

    def sparing(run: Run) -> EmbedStage:
        return SparingEmbedStage(
            network(), preprocessor, dim, min_score, config.refresh_s, run.governor
        )

    def thorough(run: Run) -> EmbedStage:
        return EmbedStage(network(), preprocessor, dim, min_score, run.governor)

    if config.when == "needed":
        return Plan(SparingEmbedStage, sparing, binding)
    return Plan(EmbedStage, thorough, binding)

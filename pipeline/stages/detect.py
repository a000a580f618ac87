"""detect, backbone: the network that sees the picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.config import BackboneConfig, DetectConfig
from pipeline.models.manifest import Task
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import ModelInput, ModelOutput
from pipeline.planning import Plan, Planner


class DetectStage(BoundStage[ModelInput, ModelOutput]):
    """Runs the network; where its engine fails, the frame is blind, never empty.

    Args:
        network: owned by this copy.
    """

    consumes = ModelInput
    produces = ModelOutput

    def __init__(self, network: BoundNetwork) -> None:
        super().__init__(network)
        self._network = network

    def process(self, packet: Packet[ModelInput]) -> Iterable[Packet[ModelOutput]]:
        if not packet.seen:
            payload = packet.payload
            return (packet.carrying(ModelOutput(payload.picture, {}, payload.placement)),)
        tensor = packet.payload.tensor
        try:
            tensors = self._network.run(tensor)
        except EngineError as error:
            return (self._blind(packet, error),)
        if tensor.ndim == 3:  # the network takes one picture, and counts it nowhere
            tensors = {name: output[None] for name, output in tensors.items()}
        return (self._seen(packet, tensors),)

    def process_batch(
        self, packets: Sequence[Packet[ModelInput]]
    ) -> list[list[Packet[ModelOutput]]]:
        if not self._network.batches or not all(p.seen for p in packets):
            return super().process_batch(packets)
        try:
            tensors = self._network.run(np.concatenate([p.payload.tensor for p in packets]))
        except EngineError:
            return super().process_batch(packets)  # so that one bad frame blinds only itself
        return [
            [self._seen(p, {name: tensor[i : i + 1] for name, tensor in tensors.items()})]
            for i, p in enumerate(packets)
        ]

    def _seen(
        self, packet: Packet[ModelInput], tensors: Mapping[str, NDArray[Any]]
    ) -> Packet[ModelOutput]:
        payload = packet.payload
        output = ModelOutput(payload.picture, tensors, payload.placement)
        return packet.carrying(output, engine=self._network.engine_id)

    def _blind(self, packet: Packet[ModelInput], error: EngineError) -> Packet[ModelOutput]:
        return self._seen(packet, {}).marked(Status.BLIND, str(error))


def plan(planner: Planner, name: str, config: DetectConfig | BackboneConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    task: Task = "detect" if config.kind == "detect" else "rpn"
    package = planner.model(name, task, config.model, config.weights)
    network, binding = planner.network(name, config, package)
    return Plan(DetectStage, lambda run: DetectStage(network()), binding)

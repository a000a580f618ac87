"""roi_head: a two-stage detector's second network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from pipeline.config import RoiHeadConfig
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Pooled, RoiOutput
from pipeline.planning import Plan, Planner


class RoiHeadStage(BoundStage[Pooled, RoiOutput]):
    """Runs the network on the features under all proposals of all packets together.

    Where its engine fails, the frame is blind: what was proposed is not yet an object.

    Args:
        network: owned by this copy.
    """

    consumes = Pooled
    produces = RoiOutput

    def __init__(self, network: BoundNetwork) -> None:
        super().__init__(network)
        self._network = network

    def process(self, packet: Packet[Pooled]) -> Iterable[Packet[RoiOutput]]:
        return self.process_batch([packet])[0]

    def process_batch(self, packets: Sequence[Packet[Pooled]]) -> list[list[Packet[RoiOutput]]]:
        seeing = [packet for packet in packets if packet.seen]
        try:
            outputs = iter(self._outputs([packet.payload for packet in seeing]))
        except EngineError as error:
            if len(packets) == 1:
                return [[self._seen(packets[0], {}).marked(Status.BLIND, str(error))]]
            # One by one, so that one bad frame blinds only itself.
            return [self.process_batch([packet])[0] for packet in packets]
        return [[self._seen(packet, next(outputs) if packet.seen else {})] for packet in packets]

    def _outputs(self, payloads: Sequence[Pooled]) -> list[Mapping[str, NDArray[Any]]]:
        """The network's outputs for the RoIs of each payload."""
        if not payloads:
            return []
        ends = np.cumsum([len(payload.proposals) for payload in payloads])[:-1]
        rois = np.concatenate([rows for p in payloads for rows in p.tensors.values()])
        found = self._network.run_rows(rois)
        parts = {name: np.split(output, ends) for name, output in found.items()}
        return [
            {name: of_each[place] for name, of_each in parts.items()}
            for place in range(len(payloads))
        ]

    def _seen(
        self, packet: Packet[Pooled], tensors: Mapping[str, NDArray[Any]]
    ) -> Packet[RoiOutput]:
        payload = packet.payload
        output = RoiOutput(payload.picture, payload.placement, payload.proposals, tensors)
        return packet.carrying(output, engine=self._network.engine_id)


def plan(planner: Planner, name: str, config: RoiHeadConfig) -> Plan:
    """The stage with the configured model on the configured engine."""
    package = planner.model(name, "roi_head", config.model, config.weights)
    network, binding = planner.network(name, config, package)
    return Plan(RoiHeadStage, lambda run: RoiHeadStage(network()), binding)

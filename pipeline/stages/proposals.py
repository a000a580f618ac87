"""proposals: where a two-stage detector looks closer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import ceil

from engines.errors import EngineError
from pipeline.config import BackboneConfig, PreprocessConfig, ProposalsConfig
from pipeline.detection.postprocess import single
from pipeline.detection.proposals import Proposals, ProposalSpec, propose
from pipeline.errors import StageError
from pipeline.kernels.proposals import proposals as proposals_kernel
from pipeline.models.halves import LevelEntry, RpnEntry
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import ModelOutput, Proposed
from pipeline.planning import Plan, Planner


class ProposalsStage(BoundStage[ModelOutput, Proposed]):
    """Decodes the anchors' deltas, clips, suppresses, and keeps the best.

    Args:
        rpn: how the network's outputs are named.
        spec: how proposals are chosen.
        network: runs it as a kernel, owned by this copy; None runs it as it is. Where it fails, the
            frame is blind.
    """

    consumes = ModelOutput
    produces = Proposed

    def __init__(
        self, rpn: RpnEntry, spec: ProposalSpec, network: BoundNetwork | None = None
    ) -> None:
        super().__init__(*([network] if network else []))
        self._rpn = rpn
        self._spec = spec
        self._network = network

    def process(self, packet: Packet[ModelOutput]) -> Iterable[Packet[Proposed]]:
        payload = packet.payload
        nothing = Proposed(payload.picture, payload.placement, {}, Proposals.empty())
        if packet.status is Status.BLIND:
            return (packet.carrying(nothing),)
        try:
            found = self._proposals(payload)
        except EngineError as error:
            return (packet.carrying(nothing).marked(Status.BLIND, f"proposals: {error}"),)
        tensors = single(payload.tensors)
        features = {name: tensors[name] for name in self._rpn.pooled_names}
        return (packet.carrying(replace(nothing, features=features, proposals=found)),)

    def _proposals(self, payload: ModelOutput) -> Proposals:
        tensors = single(payload.tensors)
        objectness = [tensors[level.objectness] for level in self._rpn.levels]
        deltas = [tensors[level.deltas] for level in self._rpn.levels]
        if self._network is not None:
            inputs = {f"objectness{i}": tensor for i, tensor in enumerate(objectness)}
            inputs |= {f"deltas{i}": tensor for i, tensor in enumerate(deltas)}
            found = self._network.run(inputs)
            return Proposals(found["boxes"], found["scores"], found["anchors"])
        width, height = payload.placement.input_width, payload.placement.input_height
        try:
            return propose(self._spec, objectness, deltas, width, height)
        except ValueError as error:
            raise StageError(f"{error}; the weights do not fit the model's rpn") from error


def plan(planner: Planner, name: str, config: ProposalsConfig) -> Plan:
    """The stage for the backbone before it, on the configured engine if there is one."""
    stage, backbone = planner.ahead(name, BackboneConfig)
    package = planner.model(stage, "rpn", backbone.model, backbone.weights)
    rpn = package.manifest.rpn
    assert rpn is not None  # `load_model` refuses such a manifest
    wishes = config.model_dump(include={"keep", "candidates", "nms_iou"}, exclude_none=True)
    spec = rpn.model_copy(update=wishes).spec
    if not config.engine:
        return Plan(ProposalsStage, lambda run: ProposalsStage(rpn, spec))
    maker, preprocess = planner.ahead(name, PreprocessConfig)
    width, height = planner.preprocessor(maker, package, preprocess.size).size
    shapes = {entry.name: entry.shape for entry in package.manifest.outputs}
    maps = [_map_of(level, shapes[level.objectness], width, height) for level in rpn.levels]
    kernel = proposals_kernel(spec, maps, width, height)
    bind, binding = planner.kernels(name, config, kernel)
    return Plan(ProposalsStage, lambda run: ProposalsStage(rpn, spec, bind(kernel)), binding)


def _map_of(level: LevelEntry, shape: tuple[int, ...], width: int, height: int) -> tuple[int, int]:
    """Rows and columns of a level's maps: as declared, else those that cover the input."""
    _, _, rows, columns = shape
    return (
        ceil(height / level.stride) if rows < 1 else rows,
        ceil(width / level.stride) if columns < 1 else columns,
    )

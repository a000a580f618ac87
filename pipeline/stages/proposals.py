"""proposals: where a two-stage detector looks closer."""

from __future__ import annotations

from math import ceil

from pipeline.config import BackboneConfig, PreprocessConfig, ProposalsConfig
from pipeline.detection.heads.base import Outputs
from pipeline.detection.postprocess import single
from pipeline.detection.proposals import Proposals, ProposalSpec, propose
from pipeline.errors import StageError
from pipeline.kernels.proposals import proposals as proposals_kernel
from pipeline.media.geometry import Placement
from pipeline.models.halves import LevelEntry, RpnEntry
from pipeline.network import BoundNetwork, KernelStage
from pipeline.payloads import ModelOutput, Proposed
from pipeline.planning import Plan, Planner


class ProposalsStage(KernelStage[ModelOutput, Proposed]):
    """Decodes the anchors' deltas, clips, suppresses, and keeps the best.

    Args:
        rpn: how the network's outputs are named.
        spec: how proposals are chosen.
        network: as of every `KernelStage`.
    """

    kind = "proposals"
    consumes = ModelOutput
    produces = Proposed

    def __init__(
        self, rpn: RpnEntry, spec: ProposalSpec, network: BoundNetwork | None = None
    ) -> None:
        super().__init__(network)
        self._rpn = rpn
        self._spec = spec

    def _nothing(self, payload: ModelOutput) -> Proposed:
        return Proposed(payload.picture, payload.placement, {}, Proposals.empty())

    def _result(self, payload: ModelOutput) -> Proposed:
        tensors = single(payload.tensors)
        features = {name: tensors[name] for name in self._rpn.pooled_names}
        found = self._proposals(tensors, payload.placement)
        return Proposed(payload.picture, payload.placement, features, found)

    def _proposals(self, tensors: Outputs, placement: Placement) -> Proposals:
        objectness = [tensors[level.objectness] for level in self._rpn.levels]
        deltas = [tensors[level.deltas] for level in self._rpn.levels]
        if self._network is not None:
            inputs = {f"objectness{i}": tensor for i, tensor in enumerate(objectness)}
            inputs |= {f"deltas{i}": tensor for i, tensor in enumerate(deltas)}
            found = self._network.run(inputs)
            return Proposals(found["boxes"], found["scores"], found["anchors"])
        width, height = placement.input_width, placement.input_height
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

"""roi_align: the features under each proposal, in the second network's size."""

from __future__ import annotations

from dataclasses import replace

from pipeline.config import BackboneConfig, RoiAlignConfig, RoiHeadConfig
from pipeline.detection.pyramid import Pooling, pooled
from pipeline.errors import ModelError
from pipeline.kernels.pooling import pooling
from pipeline.models.halves import RpnEntry
from pipeline.models.manifest import Manifest
from pipeline.network import BoundNetwork, KernelStage
from pipeline.payloads import Pooled, Proposed
from pipeline.planning import Plan, Planner


class RoiAlignStage(KernelStage[Proposed, Pooled]):
    """Pools from the feature maps.

    Args:
        how: many bins, and how they are filled.
        tensor: name of the second network's input.
        network: as of every `KernelStage`.
    """

    kind = "roi_align"
    consumes = Proposed
    produces = Pooled

    def __init__(self, how: Pooling, tensor: str, network: BoundNetwork | None = None) -> None:
        super().__init__(network)
        self._how = how
        self._tensor = tensor

    def _nothing(self, payload: Proposed) -> Pooled:
        return Pooled(payload.picture, payload.placement, payload.proposals, {})

    def _result(self, payload: Proposed) -> Pooled:
        features, boxes = list(payload.features.values()), payload.proposals.boxes_xyxy
        if self._network is None or not len(boxes):  # not every engine takes an empty list
            rois = pooled(self._how, features, boxes)
        else:
            inputs = {f"features{i}": level for i, level in enumerate(features)}
            (rois,) = self._network.run({**inputs, "boxes": boxes}).values()
        return replace(self._nothing(payload), tensors={self._tensor: rois})


def plan(planner: Planner, name: str, config: RoiAlignConfig) -> Plan:
    """The stage between the configured networks, on the configured engine if there is one."""
    before, first = planner.ahead(name, BackboneConfig)
    after, second = planner.behind(name, RoiHeadConfig)
    backbone = planner.model(before, "rpn", first.model, first.weights).manifest
    head = planner.model(after, "roi_head", second.model, second.weights).manifest
    assert backbone.rpn is not None  # `load_model` refuses such manifests
    assert head.roi_head is not None
    with planner.located("stages", after, "model"):
        _check_channels(backbone, backbone.rpn, head)
    tensor, (_, channels, rows, columns) = head.inputs[0].name, head.inputs[0].shape
    how = head.roi_head.pooling_of(backbone.rpn, rows, columns)
    if not config.engine:
        return Plan(RoiAlignStage, lambda run: RoiAlignStage(how, tensor))
    kernel = pooling(how, channels)
    bind, binding = planner.kernels(name, config, kernel)
    return Plan(RoiAlignStage, lambda run: RoiAlignStage(how, tensor, bind(kernel)), binding)


def _check_channels(backbone: Manifest, rpn: RpnEntry, head: Manifest) -> None:
    """Raises `ModelError` where the head does not take what the backbone gives."""
    wanted = head.inputs[0].shape[1]
    shapes = {entry.name: entry.shape for entry in backbone.outputs}
    for features in rpn.pooled_names:
        if shapes[features][1] not in (-1, wanted):
            raise ModelError(
                f"{head.name} takes features of {wanted} channels, {features} of {backbone.name} "
                f"has {shapes[features][1]}; take the two halves of one detector"
            )

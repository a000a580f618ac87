"""boxes: the second network's outputs become objects in source pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.config import BoxesConfig, RoiHeadConfig
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import single, to_source
from pipeline.detection.proposals import Proposals
from pipeline.detection.roi_head import RoiHeadSpec, objects
from pipeline.errors import StageError
from pipeline.media.geometry import Placement
from pipeline.models.halves import RoiHeadEntry
from pipeline.network import BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected, RoiOutput
from pipeline.planning import Plan, Planner


class BoxesStage(BoundStage[RoiOutput, Detected]):
    """Decodes each class's boxes, suppresses doubles, keeps the wanted classes.

    Args:
        head: how the network's outputs are named.
        spec: how they are read.
    """

    consumes = RoiOutput
    produces = Detected

    def __init__(self, head: RoiHeadEntry, spec: RoiHeadSpec) -> None:
        super().__init__()
        self._head = head
        self._spec = spec

    def process(self, packet: Packet[RoiOutput]) -> Iterable[Packet[Detected]]:
        payload = packet.payload
        proposals = _to_source(payload.proposals, payload.placement)
        found = Detected(payload.picture, Detections.empty(), proposals=proposals)
        if packet.status is not Status.BLIND:
            found = replace(found, detections=self._detections(payload))
        return (packet.carrying(found),)

    def _detections(self, payload: RoiOutput) -> Detections:
        tensors, placement = single(payload.tensors), payload.placement
        try:
            found = objects(
                self._spec,
                payload.proposals.boxes_xyxy,
                tensors[self._head.box_deltas],
                tensors[self._head.cls_logits],
                placement.input_width,
                placement.input_height,
            )
        except ValueError as error:
            raise StageError(f"{error}; the weights do not fit the model's roi_head") from error
        return to_source(found, placement)


def _to_source(proposals: Proposals, placement: Placement) -> Proposals:
    """Proposals in input pixels as such in source pixels."""
    return replace(
        proposals,
        boxes_xyxy=placement.to_source(proposals.boxes_xyxy),
        anchors_xyxy=placement.to_source(proposals.anchors_xyxy),
    )


def plan(planner: Planner, name: str, config: BoxesConfig) -> Plan:
    """The stage for the head before it."""
    stage, head = planner.ahead(name, RoiHeadConfig)
    manifest = planner.model(stage, "roi_head", head.model, head.weights).manifest
    entry = manifest.roi_head
    assert entry is not None  # `load_model` refuses such a manifest
    spec = entry.spec(config.score, config.nms_iou, config.max_detections)
    return Plan(BoxesStage, lambda run: BoxesStage(entry, spec))

"""boxes: the second network's outputs become objects in source pixels."""

from __future__ import annotations

from dataclasses import replace

from pipeline.config import BackboneConfig, BoxesConfig, PreprocessConfig, RoiHeadConfig
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import single, to_source, wanted_labels
from pipeline.detection.proposals import Proposals
from pipeline.detection.roi_head import RoiHeadSpec, objects
from pipeline.errors import StageError
from pipeline.kernels.roi_objects import roi_objects
from pipeline.media.geometry import Placement
from pipeline.models.halves import RoiHeadEntry
from pipeline.network import BoundNetwork, KernelStage
from pipeline.payloads import Detected, RoiOutput
from pipeline.planning import Plan, Planner


class BoxesStage(KernelStage[RoiOutput, Detected]):
    """Decodes each class's boxes, suppresses doubles, keeps the wanted classes.

    Args:
        head: how the network's outputs are named.
        spec: how they are read.
        network: as of every `KernelStage`.
    """

    kind = "boxes"
    consumes = RoiOutput
    produces = Detected

    def __init__(
        self, head: RoiHeadEntry, spec: RoiHeadSpec, network: BoundNetwork | None = None
    ) -> None:
        super().__init__(network)
        self._head = head
        self._spec = spec

    def _nothing(self, payload: RoiOutput) -> Detected:
        proposals = _to_source(payload.proposals, payload.placement)
        return Detected(payload.picture, Detections.empty(), proposals=proposals)

    def _result(self, payload: RoiOutput) -> Detected:
        found = to_source(self._detections(payload), payload.placement)
        return replace(self._nothing(payload), detections=found)

    def _detections(self, payload: RoiOutput) -> Detections:
        """The objects, in input pixels."""
        tensors, boxes = single(payload.tensors), payload.proposals.boxes_xyxy
        deltas, logits = tensors[self._head.box_deltas], tensors[self._head.cls_logits]
        if self._network is not None and len(boxes):  # not every engine takes an empty list
            given = {"proposals": boxes, "box_deltas": deltas, "cls_logits": logits}
            found = self._network.run(given)
            return Detections(found["boxes"], found["scores"], found["labels"])
        width, height = payload.placement.input_width, payload.placement.input_height
        try:
            return objects(self._spec, boxes, deltas, logits, width, height)
        except ValueError as error:
            raise StageError(f"{error}; the weights do not fit the model's roi_head") from error


def _to_source(proposals: Proposals, placement: Placement) -> Proposals:
    """Proposals in input pixels as such in source pixels."""
    return replace(
        proposals,
        boxes_xyxy=placement.to_source(proposals.boxes_xyxy),
        anchors_xyxy=placement.to_source(proposals.anchors_xyxy),
    )


def plan(planner: Planner, name: str, config: BoxesConfig) -> Plan:
    """The stage for the head before it, on the configured engine if there is one."""
    stage, head = planner.ahead(name, RoiHeadConfig)
    manifest = planner.model(stage, "roi_head", head.model, head.weights).manifest
    entry, labels = manifest.roi_head, manifest.class_names
    assert entry is not None  # `load_model` refuses such a manifest
    with planner.located("stages", name):
        wanted = None if config.classes is None else wanted_labels(labels, config.classes)
    spec = entry.spec(config.score, config.nms_iou, config.max_detections, wanted)
    if not config.engine:
        return Plan(BoxesStage, lambda run: BoxesStage(entry, spec))
    first, backbone = planner.ahead(name, BackboneConfig)
    package = planner.model(first, "rpn", backbone.model, backbone.weights)
    maker, preprocess = planner.ahead(name, PreprocessConfig)
    size = planner.preprocessor(maker, package, preprocess.size).size
    kernel = roi_objects(spec, len(labels), *size)
    bind, binding = planner.kernels(name, config, kernel)
    return Plan(BoxesStage, lambda run: BoxesStage(entry, spec, bind(kernel)), binding)

"""postprocess: the detector's outputs become objects in source pixels."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.config import PostprocessConfig
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import Postprocessor
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected, ModelOutput
from pipeline.planning import Plan, Planner
from pipeline.stage import Stage


class PostprocessStage(Stage[ModelOutput, Detected]):
    """Decodes the head's tensors, suppresses doubles, keeps the wanted classes.

    Args:
        postprocessor: stateless; may be shared between copies.
    """

    consumes = ModelOutput
    produces = Detected

    def __init__(self, postprocessor: Postprocessor) -> None:
        self._postprocessor = postprocessor

    def process(self, packet: Packet[ModelOutput]) -> Iterable[Packet[Detected]]:
        payload = packet.payload
        if packet.status is Status.BLIND:
            detections = Detections.empty()
        else:
            detections = self._postprocessor(payload.tensors, payload.placement)
        return (packet.carrying(Detected(payload.picture, detections)),)


def plan(planner: Planner, name: str, config: PostprocessConfig) -> Plan:
    """The stage for the configured model's head."""
    manifest = planner.model(name, "detect", config.model, config.weights).manifest
    assert manifest.head is not None  # `load_model` refuses such a manifest
    with planner.located("stages", name):
        postprocessor = Postprocessor(
            manifest.head,
            manifest.class_names,
            score=config.score,
            nms_iou=config.nms_iou,
            classes=config.classes,
            max_detections=config.max_detections,
        )
    return Plan(PostprocessStage, lambda run: PostprocessStage(postprocessor))

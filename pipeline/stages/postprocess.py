"""postprocess: the detector's outputs become objects in source pixels."""

from __future__ import annotations

from collections.abc import Iterable

from engines.errors import EngineError
from pipeline.config import PostprocessConfig
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import Postprocessor, single, to_source
from pipeline.kernels.head_decode import head_decode
from pipeline.network import BoundNetwork, BoundStage
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected, ModelOutput
from pipeline.planning import Plan, Planner


class PostprocessStage(BoundStage[ModelOutput, Detected]):
    """Decodes the head's tensors, suppresses doubles, keeps the wanted classes.

    Args:
        postprocessor: stateless; may be shared between copies.
        network: runs it as a kernel, owned by this copy; None runs it as it is. Where it fails, the
            frame is blind.
    """

    consumes = ModelOutput
    produces = Detected

    def __init__(self, postprocessor: Postprocessor, network: BoundNetwork | None = None) -> None:
        super().__init__(*([network] if network else []))
        self._postprocessor = postprocessor
        self._network = network

    def process(self, packet: Packet[ModelOutput]) -> Iterable[Packet[Detected]]:
        picture = packet.payload.picture
        if packet.status is Status.BLIND:
            return (packet.carrying(Detected(picture, Detections.empty())),)
        try:
            detections = self._detections(packet.payload)
        except EngineError as error:
            nothing = Detected(picture, Detections.empty())
            return (packet.carrying(nothing).marked(Status.BLIND, f"postprocess: {error}"),)
        return (packet.carrying(Detected(picture, detections)),)

    def _detections(self, payload: ModelOutput) -> Detections:
        if self._network is None:
            return self._postprocessor(payload.tensors, payload.placement)
        found = self._network.run(single(payload.tensors))
        detections = Detections(found["boxes"], found["scores"], found["labels"])
        return to_source(detections, payload.placement)


def plan(planner: Planner, name: str, config: PostprocessConfig) -> Plan:
    """The stage for the configured model's head, on the configured engine if there is one."""
    package = planner.model(name, "detect", config.model, config.weights)
    manifest = package.manifest
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
    if not config.engine:
        return Plan(PostprocessStage, lambda run: PostprocessStage(postprocessor))
    kernel = head_decode(postprocessor, manifest.counted_outputs, *manifest.input_size)
    bind, binding = planner.kernels(name, config, kernel)
    return Plan(
        PostprocessStage, lambda run: PostprocessStage(postprocessor, bind(kernel)), binding
    )

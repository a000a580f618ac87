"""postprocess: the detector's outputs become objects in source pixels."""

from __future__ import annotations

from pipeline.config import PostprocessConfig
from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import Postprocessor, single, to_source
from pipeline.kernels.head_decode import head_decode
from pipeline.network import BoundNetwork, KernelStage
from pipeline.payloads import Detected, ModelOutput
from pipeline.planning import Plan, Planner


class PostprocessStage(KernelStage[ModelOutput, Detected]):
    """Decodes the head's tensors, suppresses doubles, keeps the wanted classes.

    Args:
        postprocessor: stateless; may be shared between copies.
        network: as of every `KernelStage`.
    """

    kind = "postprocess"
    consumes = ModelOutput
    produces = Detected

    def __init__(self, postprocessor: Postprocessor, network: BoundNetwork | None = None) -> None:
        super().__init__(network)
        self._postprocessor = postprocessor

    def _nothing(self, payload: ModelOutput) -> Detected:
        return Detected(payload.picture, Detections.empty())

    def _result(self, payload: ModelOutput) -> Detected:
        if self._network is None:
            found = self._postprocessor(payload.tensors, payload.placement)
            return Detected(payload.picture, found)
        outputs = self._network.run(single(payload.tensors))
        found = Detections(outputs["boxes"], outputs["scores"], outputs["labels"])
        return Detected(payload.picture, to_source(found, payload.placement))


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

"""postprocess: the detector's outputs become objects in source pixels."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.detection.detections import Detections
from pipeline.detection.postprocess import Postprocessor
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected, ModelOutput
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

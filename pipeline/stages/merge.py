"""merge: the detections of several detectors become one set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.config import MergeConfig
from pipeline.detection.detections import Detections
from pipeline.detection.nms import nms
from pipeline.packet import Packet, Status
from pipeline.payloads import Detected
from pipeline.planning import Plan, Planner
from pipeline.stage import Join


class MergeStage(Join[Detected, Detected]):
    """Joins the branches of a frame; of doubles between the detectors the better one stays.

    A frame that one of the detectors did not see is as blind as that detector.

    Args:
        label_maps: for each branch, the common label of each of its own labels, (C,) int32.
        nms_iou: of two boxes of one class that overlap more, the better one stays, 0..1.
    """

    consumes = Detected
    produces = Detected

    def __init__(self, label_maps: Sequence[NDArray[np.int32]], nms_iou: float) -> None:
        self._label_maps = label_maps
        self._nms_iou = nms_iou

    def join(self, packets: Sequence[Packet[Detected]]) -> Iterable[Packet[Detected]]:
        parts = [packet.payload.detections for packet in packets]
        merged = Detections(
            np.concatenate([part.boxes_xyxy for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([m[p.labels] for m, p in zip(self._label_maps, parts, strict=True)]),
        )
        keep = nms(merged.boxes_xyxy, merged.scores, merged.labels, self._nms_iou)
        worst = max(packets, key=lambda packet: packet.status)
        if worst.status is Status.OK:
            worst = packets[0]
        motions = (packet.payload.camera_motion for packet in packets)
        motion = next((known for known in motions if known is not None), None)
        found = Detected(worst.payload.picture, merged.take(keep), camera_motion=motion)
        return (worst.carrying(found),)


def plan(planner: Planner, name: str, config: MergeConfig) -> Plan:
    """The stage with the labels of all its branches made one list."""
    common = planner.labels(name)
    maps = [
        np.array([common.index(label) for label in planner.labels(branch)], np.int32)
        for branch in config.after
    ]
    return Plan(MergeStage, lambda run: MergeStage(maps, config.nms_iou))

"""The parts of a two-stage detector, put together, are the network they were taken from."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import engines
from engines.program import Tensors
from pipeline.detection.anchors import Anchors
from pipeline.detection.boxes import clip
from pipeline.detection.deltas import decode
from pipeline.detection.heads.base import softmax
from pipeline.detection.nms import nms
from pipeline.detection.proposals import ProposalSpec, propose
from pipeline.detection.roi_align import roi_align

WIDTH, HEIGHT = 427, 320
SPEC = ProposalSpec((Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), 16),), keep=30)


def run(path: Path, **inputs: np.ndarray) -> Tensors:
    with engines.create("e", "onnxruntime") as engine:
        engine.init()
        engine.prepare(engines.Network(path, "onnx"))
        for name, array in inputs.items():
            engine.set_tensor(name, array)
        engine.forward()
        return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}


@pytest.mark.assets
def test_d2go_in_two_parts_finds_what_it_finds_as_a_whole(assets: Path) -> None:
    with av.open(str(assets / "videos/TUD-Stadtmitte.mp4")) as container:
        frame = next(iter(container.decode(video=0))).to_ndarray(format="bgr24")
    image = cv2.resize(frame, (WIDTH, HEIGHT)).transpose(2, 0, 1)[None].astype(np.float32)
    folder = assets / "models/d2go"
    whole = run(folder / "d2go_frcnn_whole_int8qdq.onnx", image=image)

    first = run(folder / "d2go_frcnn_stage1_int8qdq.onnx", image=image)
    places, _ = propose(SPEC, [first["objectness"]], [first["anchor_deltas"]], WIDTH, HEIGHT)
    rois = roi_align(first["features"], places, 6, 6, 1 / 16)
    second = run(folder / "d2go_frcnn_stage2_int8qdq.onnx", roi_features=rois)
    scores = softmax(second["cls_logits"])[:, :-1]  # the last one is the background
    roi, label = np.nonzero(scores > 0.05)
    deltas = second["box_deltas"].reshape(len(rois), -1, 4)[roi, label]
    boxes = clip(decode(deltas, places[roi], (10, 10, 5, 5)), WIDTH, HEIGHT)
    kept = nms(boxes, scores[roi, label], label.astype(np.int32), 0.5, 100)

    found = np.column_stack([label, scores[roi, label], boxes])[kept]
    expected = np.column_stack([whole["labels"], whole["scores"], whole["boxes"]])
    assert len(found) == len(expected) > 5
    # Each has its like; in the order of equal scores the two may differ.
    distance = np.abs(found[:, None] - expected).max(axis=2)
    assert distance.min(axis=0).max() < 0.01, "pixels"
    assert distance.min(axis=1).max() < 0.01, "pixels"

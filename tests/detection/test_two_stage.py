"""The parts of a two-stage detector, put together, are the network they were taken from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import engines
from pipeline.detection.anchors import Anchors
from pipeline.detection.proposals import ProposalSpec
from pipeline.detection.pyramid import Pooling
from pipeline.detection.roi_head import RoiHeadSpec
from pipeline.detection.two_stage import TwoStage, TwoStageSpec, in_batches

Maps = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]

WIDTH, HEIGHT = 427, 320
D2GO = TwoStageSpec(
    ProposalSpec((Anchors((32, 64, 96, 128, 160), (0.5, 1, 2), 16),), keep=30),
    Pooling(6, 6, (16,)),
    RoiHeadSpec(),
)


@contextmanager
def network(path: Path) -> Iterator[engines.Engine]:
    with engines.create("e", "onnxruntime") as engine:
        engine.init()
        engine.prepare(engines.Network(path, "onnx"))
        yield engine


def run(engine: engines.Engine, given: np.ndarray, *outputs: str) -> tuple[np.ndarray, ...]:
    (spec,) = engine.inputs
    engine.set_tensor(spec.name, given)
    engine.forward()
    return tuple(engine.get_tensor(name) for name in outputs)


@pytest.mark.assets
def test_d2go_in_two_parts_finds_what_it_finds_as_a_whole(assets: Path) -> None:
    with av.open(str(assets / "videos/TUD-Stadtmitte.mp4")) as container:
        frame = next(iter(container.decode(video=0))).to_ndarray(format="bgr24")
    image = cv2.resize(frame, (WIDTH, HEIGHT)).transpose(2, 0, 1)[None].astype(np.float32)
    folder = assets / "models/d2go"
    with (
        network(folder / "d2go_frcnn_whole_int8qdq.onnx") as whole,
        network(folder / "d2go_frcnn_stage1_int8qdq.onnx") as one,
        network(folder / "d2go_frcnn_stage2_int8qdq.onnx") as two,
    ):
        boxes, labels, scores = run(whole, image, "boxes", "labels", "scores")

        def first(image: np.ndarray) -> Maps:
            features, objectness, deltas = run(
                one, image, "features", "objectness", "anchor_deltas"
            )
            return [features], [objectness], [deltas]

        def second(rois: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            deltas, logits = run(two, rois, "box_deltas", "cls_logits")
            return deltas, logits

        objects = TwoStage(D2GO, first, second)(image)
    found = np.column_stack([objects.labels, objects.scores, objects.boxes_xyxy])
    expected = np.column_stack([labels, scores, boxes])
    assert len(found) == len(expected) > 5
    # Each has its like; in the order of equal scores the two may differ.
    distance = np.abs(found[:, None] - expected).max(axis=2)
    assert distance.min(axis=0).max() < 1e-3, "pixels"
    assert distance.min(axis=1).max() < 1e-3, "pixels"


def test_where_nothing_is_proposed_the_second_network_is_not_asked() -> None:
    def first(image: np.ndarray) -> Maps:
        deltas = np.zeros((1, 15, 4, 5, 7), np.float32)
        deltas[:, :, 0] = 1000  # far to the right
        cells = np.zeros((1, 16, 5, 7), np.float32)
        return [cells], [cells[:, 1:]], [deltas.reshape(1, 60, 5, 7)]

    def second(rois: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError(f"asked of {len(rois)} RoIs")

    assert len(TwoStage(D2GO, first, second)(np.zeros((1, 3, 80, 112), np.float32))) == 0


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 11])
def test_any_number_of_rois_goes_through_a_network_of_one_batch(count: int) -> None:
    seen: list[np.ndarray] = []

    def stage(rois: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert len(rois) == 4
        seen.append(rois)
        return rois[:, 0, 0] * 2, rois[:, 1, 0] + 1

    rois = np.random.default_rng(count).normal(size=(count, 2, 3, 3)).astype(np.float32)
    deltas, logits = in_batches(stage, 4)(rois)
    np.testing.assert_array_equal(deltas, rois[:, 0, 0] * 2)
    np.testing.assert_array_equal(logits, rois[:, 1, 0] + 1)
    assert not np.concatenate(seen)[count:].any()

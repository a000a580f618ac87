"""The two-stage detector's networks and their loss; needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # several threads wait for each other on a busy machine

from pipeline.detection.roi_align import roi_align  # noqa: E402 - after the check for torch
from training.detector import Detector  # noqa: E402
from training.frames import Targets  # noqa: E402
from training.two_stage import BINS, NECK, TwoStage, load_features, pooled  # noqa: E402
from training.two_stage_loss import Objects, losses, sampled  # noqa: E402

STREET_PICO = Path(__file__).resolve().parents[2] / "models" / "street-pico" / "street-pico.onnx"


def objects(boxes: list[list[float]], ignored: list[list[float]]) -> Objects:
    labels = np.arange(len(boxes))
    return Objects(
        np.array(boxes, np.float32).reshape(-1, 4),
        labels,
        np.array(ignored, np.float32).reshape(-1, 4),
    )


def targets(boxes: list[list[float]]) -> Targets:
    count = len(boxes)
    table = torch.tensor(boxes).reshape(-1, 4)
    first = torch.zeros(count, dtype=torch.int64)
    return Targets(first, table, torch.arange(count), torch.ones(count, dtype=torch.bool))


def test_training_pools_what_the_pipeline_pools() -> None:
    rng = np.random.default_rng(0)
    features = rng.random((1, NECK, 9, 16), np.float32)
    corners = rng.random((20, 4), np.float32) * [60, 30, 60, 40]
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], 1)
    boxes = boxes.astype(np.float32)
    found = pooled(torch.from_numpy(features[0]), boxes).numpy()
    expected = roi_align(features, boxes, BINS, BINS, 1 / 8)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_features_start_as_those_of_the_shipped_detector() -> None:
    network = Detector()
    load_features(network, STREET_PICO)
    model = onnx.load(STREET_PICO)
    (last,) = (
        n.output[0]
        for n in model.graph.node
        if n.name.startswith("/merge8/") and n.op_type == "Relu"
    )
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 288, 512)).astype(np.float32)
    (expected,) = session.run([last], {"images": pixels})
    with torch.no_grad():
        features, _, _ = network.scales(torch.from_numpy(pixels))
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-4)


def test_boxes_are_right_wrong_or_neither() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 7], [50, 50, 60, 60], [80, 0, 90, 10]], np.float32)
    truth = objects([[0, 0, 10, 10]], ignored=[[80, 0, 90, 9]])
    sample = sampled(boxes, truth, (0.8, 0.5), 4, 0.5, np.random.default_rng(0))
    assert sample.rows.tolist() == [0, 2]
    assert sample.owners.tolist() == [0]


def test_the_best_box_of_an_object_is_rescued() -> None:
    boxes = np.array([[0, 0, 10, 10], [40, 0, 50, 10]], np.float32)
    truth = objects([[0, 0, 10, 10], [44, 0, 60, 10]], ignored=[])
    rng = np.random.default_rng(0)
    assert len(sampled(boxes, truth, (0.8, 0.1), 4, 1.0, rng).owners) == 1
    assert sorted(sampled(boxes, truth, (0.8, 0.1), 4, 1.0, rng, rescue=True).owners) == [0, 1]


def test_both_networks_learn_one_picture() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network, images = TwoStage().eval(), torch.rand(1, 3, 64, 96) * 255
    wanted = targets([[10.0, 10.0, 30.0, 50.0], [50.0, 20.0, 80.0, 40.0]])
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    history = []
    for _ in range(25):
        loss = losses(network, images, wanted, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.5 * history[0]


def test_a_picture_without_objects_has_a_loss() -> None:
    loss = losses(TwoStage(), torch.zeros(1, 3, 64, 96), targets([]), np.random.default_rng(0))
    assert torch.isfinite(loss)
    loss.backward()

"""The networks and their losses; needs torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # several threads wait for each other on a busy machine

from pipeline.detection.heads import YoloxHead  # noqa: E402 - after the check for torch
from training.detector import Detector, cell_grid, decode_xyxy  # noqa: E402
from training.detector_loss import detector_loss, generalised_iou  # noqa: E402
from training.frames import Targets  # noqa: E402
from training.reid import Reid, identity_loss  # noqa: E402


def test_the_detector_has_one_row_per_cell_and_probabilities() -> None:
    network = Detector().eval()
    with torch.no_grad():
        output = network(torch.zeros(2, 3, 64, 96))
    assert output.shape == (2, 8 * 12 + 4 * 6 + 2 * 3, 10)
    assert ((output[..., 4:] >= 0) & (output[..., 4:] <= 1)).all()


def test_both_decoders_agree() -> None:
    torch.manual_seed(0)
    raw = torch.rand(1, 8 * 12 + 4 * 6 + 2 * 3, 10)
    cells, strides = cell_grid(64, 96)
    boxes = decode_xyxy(raw, cells, strides)[0]
    found = YoloxHead(family="yolox").decode({"output": raw.numpy()}, 96, 64, min_score=0.0)
    np.testing.assert_allclose(boxes.numpy(), found.boxes_xyxy, atol=1e-4)


def test_generalised_iou_of_boxes_apart_is_negative() -> None:
    a, b = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([3.0, 0.0, 4.0, 1.0])
    iou, quality = generalised_iou(a, b)
    assert float(iou) == pytest.approx(0.0)
    assert float(quality) == pytest.approx(-0.5, abs=1e-4)


def test_the_detector_learns_one_picture() -> None:
    torch.manual_seed(0)
    network, images = Detector(), torch.rand(2, 3, 64, 96) * 255
    cells, strides = cell_grid(64, 96)
    boxes = torch.tensor([[10.0, 10.0, 30.0, 50.0], [50.0, 20.0, 80.0, 40.0]])
    wanted = Targets(torch.tensor([0, 1]), boxes, torch.tensor([0, 2]), torch.tensor([True, True]))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = detector_loss(network.logits(images), cells, strides, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_a_picture_without_objects_has_a_loss() -> None:
    none = Targets(
        torch.zeros(0).long(), torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).bool()
    )
    raw = Detector().logits(torch.zeros(1, 3, 64, 96))
    assert torch.isfinite(detector_loss(raw, *cell_grid(64, 96), none))


def test_embeddings_have_length_one_and_alike_ones_cost_less() -> None:
    with torch.no_grad():
        vectors = Reid().eval()(torch.rand(3, 3, 128, 64) * 255)
    assert vectors.norm(dim=1).numpy() == pytest.approx([1, 1, 1], abs=1e-5)
    names = torch.tensor([0, 0, 1, 1])
    alike = torch.eye(4)[[0, 0, 1, 1]]
    mixed = torch.eye(4)[[0, 1, 0, 1]]
    assert identity_loss(alike, names) < identity_loss(mixed, names)

"""torchvision's operators, against their definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines import torch_operators  # noqa: E402 - imports torch


def iou(a: np.ndarray, b: np.ndarray) -> float:
    overlap = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_nms_keeps_what_nothing_better_overlaps(threshold: float) -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (60, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 30, (60, 2))], 1).astype(np.float32)
    scores = rng.permutation(60).astype(np.float32)
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(int(index))
    found = torch_operators.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert found.tolist() == kept


def test_nms_of_nothing() -> None:
    found = torch_operators.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert found.tolist() == []
    assert found.dtype == torch.int64


def sample(feature: np.ndarray, y: float, x: float) -> float:
    height, width = feature.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    down, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, h = y - top, x - left
    return float(
        (1 - v) * ((1 - h) * feature[top, left] + h * feature[top, right])
        + v * ((1 - h) * feature[down, left] + h * feature[down, right])
    )


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_is_the_mean_of_its_samples(aligned: bool, ratio: int) -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2, 3, 12, 16)).astype(np.float32)
    rois = np.array(
        [[0, 3, 5, 40, 33], [1, -20, -9, 30, 60], [1, 20, 20, 20.5, 21], [0, 50, 40, 90, 70]],
        np.float32,
    )
    scale, rows, columns = 0.25, 3, 2
    found = torch_operators.roi_align(
        torch.from_numpy(features), torch.from_numpy(rois), scale, rows, columns, ratio, aligned
    )
    for (image, *corners), pooled in zip(rois, found.numpy(), strict=True):
        x1, y1, x2, y2 = np.array(corners) * scale - (0.5 if aligned else 0)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1), max(height, 1)
        down, right = (ratio or math.ceil(height / rows)), (ratio or math.ceil(width / columns))
        for channel, row, column in np.ndindex(pooled.shape):
            values = [
                sample(
                    features[int(image), channel],
                    y1 + (row + (i + 0.5) / down) * height / rows,
                    x1 + (column + (j + 0.5) / right) * width / columns,
                )
                for i in range(down)
                for j in range(right)
            ]
            assert pooled[channel, row, column] == pytest.approx(np.mean(values), abs=1e-5)


def test_roi_align_of_nothing() -> None:
    found = torch_operators.roi_align(
        torch.zeros(1, 3, 4, 4), torch.zeros(0, 5), 1.0, 2, 2, 0, True
    )
    assert found.shape == (0, 3, 2, 2)


def test_torch_finds_them_by_torchvisions_names() -> None:
    torch_operators.register()
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10]])
    assert torch.ops.torchvision.nms(boxes, torch.tensor([0.1, 0.2]), 0.5).tolist() == [1]

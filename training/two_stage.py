"""The two networks of the two-stage detector, after Faster R-CNN (Ren et al., arXiv:1506.01497).

The first is the one-stage detector's backbone and neck with a region proposal network on the finest
features; the second looks at those features under each proposal.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from pipeline.detection.anchors import Anchors
from pipeline.detection.proposals import ProposalSpec
from pipeline.detection.roi_align import axis_weights
from pipeline.world import LABELS
from training.detector import NECK, STRIDES, ConvUnit, Pyramid

ANCHORS = Anchors(
    sizes=(15.0, 26.0, 56.0, 120.0), ratios=(0.4, 1.0, 2.5), stride=STRIDES[0], offset=0.5
)
"""Of every kind, at least 83 % of the training objects overlap one by more than half."""
PROPOSALS = ProposalSpec((ANCHORS,), candidates=600, nms_iou=0.7, keep=100)
BINS = 6
"""Rows and columns into which the features under a proposal are pooled."""
DELTA_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


class ProposalNetwork(Pyramid):
    """The first network: features, and at every cell how likely and where the objects are."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(NECK, NECK, 3, padding=1), nn.ReLU(inplace=True))
        self.objectness = nn.Conv2d(NECK, ANCHORS.per_cell, 1)
        self.deltas = nn.Conv2d(NECK, 4 * ANCHORS.per_cell, 1)
        for layer in (self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, 3, H, W) float BGR 0..255 to features, objectness logits and anchor deltas.

        Returns:
            (N, NECK, h, w), (N, A, h, w) and (N, 4 A, h, w).
        """
        features, _, _ = self.scales(images)
        seen = self.look(features)
        return features, self.objectness(seen), self.deltas(seen)


class RoiHead(nn.Module):
    """The second network: what a proposal shows, and a box for each class."""

    def __init__(self, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(NECK, 64, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 96, 3),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(96 * (BINS - 4) ** 2, 128),
            nn.ReLU(inplace=True),
        )
        self.box_deltas = nn.Linear(128, 4 * classes)
        self.cls_logits = nn.Linear(128, classes + 1)
        nn.init.normal_(self.box_deltas.weight, std=0.001)
        nn.init.zeros_(self.box_deltas.bias)

    def forward(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, NECK, BINS, BINS) to deltas (N, 4 K) and logits (N, K + 1), background last."""
        seen = self.trunk(rois)
        return self.box_deltas(seen), self.cls_logits(seen)


class TwoStage(nn.Module):
    """Both networks, trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = ProposalNetwork(), RoiHead()


def pooled(features: Tensor, boxes_xyxy: NDArray[np.float32]) -> Tensor:
    """RoIAlign as `pipeline.detection.roi_align` computes it, with gradients for the features.

    Args:
        features: (C, H, W).
        boxes_xyxy: (N, 4) network pixels.

    Returns:
        (N, C, BINS, BINS).
    """
    channels, height, width = features.shape
    x0, y0, x1, y1 = boxes_xyxy.T / ANCHORS.stride
    vertical = torch.from_numpy(axis_weights(y0, y1, BINS, height, 0))
    across = torch.from_numpy(axis_weights(x0, x1, BINS, width, 0))
    bands = across.reshape(-1, width) @ features.reshape(-1, width).T
    found = bands.reshape(-1, BINS * channels, height) @ vertical.transpose(1, 2)
    return found.reshape(-1, BINS, channels, BINS).permute(0, 2, 3, 1)


def load_features(pyramid: Pyramid, path: Path) -> None:
    """Fills backbone and neck with those of an exported detector; batch norms become the identity.

    Args:
        pyramid: changed in place, and put into evaluation mode: its batch norms stay as they are.
        path: of the ONNX file, in which batch norms are folded into the convolutions.
    """
    model = onnx.load(path)
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    layers = {
        _module_name(n.output[0]): n.input[1:] for n in model.graph.node if n.op_type == "Conv"
    }
    for name, unit in pyramid.named_modules():
        if isinstance(unit, ConvUnit):
            weight, bias = (torch.from_numpy(arrays[part].copy()) for part in layers[f"{name}.0"])
            convolution, norm, _ = unit
            convolution.weight.data.copy_(weight)
            norm.bias.data.copy_(bias)
            norm.running_var.fill_(1.0 - norm.eps)
    pyramid.eval()


def _module_name(output: str) -> str:
    """The dotted name of the module that made `/stage8/stage8.1/squeeze/squeeze.0/Conv_output_0`.

    The exporter repeats what a sequence is called in the names of its members.
    """
    parts = output.split("/")[1:]
    kept = (part for part, after in pairwise(parts) if not after.startswith(f"{part}."))
    return ".".join(kept)

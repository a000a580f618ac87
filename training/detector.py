"""The detector: a small anchor-free one-stage network of plain convolutions.

The design follows YOLOX (Ge et al., 2021, arXiv:2107.08430) in what it predicts at each cell, and
FPN (Lin et al., 2017, arXiv:1612.03144) in how the three scales share what they see.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.world import LABELS

STRIDES = (8, 16, 32)
BOX_COLUMNS = 4
NECK = 48
"""Channels of the features at every scale."""
INPUT_SCALE = 1.0 / 64.0
"""Pixels 0..255 are brought near unit size; export folds this into the first convolution."""


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation, ReLU: folds into one convolution on export."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        padding = (size - stride + 1) // 2 if size % 2 == 0 else size // 2
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, padding, bias=False),
            nn.BatchNorm2d(outputs, momentum=0.03),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """A 1x1 squeeze and a 3x3 convolution beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = ConvUnit(channels, channels // 2, 1)
        self.spread = ConvUnit(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        return x + self.spread(self.squeeze(x))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        ConvUnit(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(blocks))
    )


class Head(nn.Module):
    """Predicts, at each cell of one scale, a box, whether there is an object, and its kind."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.place, self.kind = ConvUnit(channels, channels), ConvUnit(channels, channels)
        self.box = nn.Conv2d(channels, BOX_COLUMNS, 1)
        self.objectness = nn.Conv2d(channels, 1, 1)
        self.classes = nn.Conv2d(channels, classes, 1)
        # Most cells hold nothing: starting from a low score keeps the first steps calm.
        nn.init.constant_(_bias(self.objectness), -4.0)
        nn.init.constant_(_bias(self.classes), -1.5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, H*W, 5 + classes) logits, cells in row-major order."""
        place = self.place(x)
        parts = (self.box(place), self.objectness(place), self.classes(self.kind(x)))
        return torch.cat(parts, 1).flatten(2).transpose(1, 2)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


class Pyramid(nn.Module):
    """Features at three scales: a backbone to stride 32 and a top-down neck."""

    def __init__(self, width: int = NECK) -> None:
        super().__init__()
        # One wide step to stride 4: the large early maps cost more time than they teach.
        self.stem = ConvUnit(3, 24, size=6, stride=4)
        self.stage8 = _stage(24, 48, 2)
        self.stage16 = _stage(48, 80, 3)
        self.stage32 = _stage(80, 128, 2)
        self.lateral8, self.lateral16 = ConvUnit(48, width, 1), ConvUnit(80, width, 1)
        self.lateral32 = ConvUnit(128, width, 1)
        self.merge8, self.merge16 = ConvUnit(width, width), ConvUnit(width, width)

    def scales(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, 3, H, W) float BGR 0..255 to (N, width, H / s, W / s) for s in `STRIDES`."""
        x8 = self.stage8(self.stem(images * INPUT_SCALE))
        x16 = self.stage16(x8)
        p32 = self.lateral32(self.stage32(x16))
        p16 = self.merge16(self.lateral16(x16) + functional.interpolate(p32, scale_factor=2.0))
        p8 = self.merge8(self.lateral8(x8) + functional.interpolate(p16, scale_factor=2.0))
        return p8, p16, p32


class Detector(Pyramid):
    """The whole network: the features, and a head per scale."""

    def __init__(self, classes: int = len(LABELS), width: int = NECK) -> None:
        super().__init__(width)
        self.heads = nn.ModuleList(Head(width, classes) for _ in STRIDES)

    def logits(self, images: Tensor) -> Tensor:
        """Maps (N, 3, H, W) float BGR 0..255 to (N, A, 5 + classes) raw predictions."""
        scales = zip(self.heads, self.scales(images), strict=True)
        return torch.cat([head(features) for head, features in scales], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Like `logits`, with the sigmoid applied to objectness and classes: what is exported."""
        raw = self.logits(images)
        return torch.cat((raw[..., :BOX_COLUMNS], raw[..., BOX_COLUMNS:].sigmoid()), -1)


def cell_grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Returns the cells of all scales: (A, 2) column and row of each, and (A,) its stride."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        cells.append(torch.stack((columns, rows), -1).reshape(-1, 2).float())
        strides.append(torch.full((len(cells[-1]),), float(stride)))
    return torch.cat(cells), torch.cat(strides)


def decode_xyxy(raw: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """Returns the boxes (N, A, 4) in network pixels of raw predictions (N, A, 4 or more).

    cx = (tx + column) * stride, w = exp(tw) * stride, and likewise for cy and h.
    """
    centre = (raw[..., :2] + cells) * strides[:, None]
    half = raw[..., 2:4].clamp(-6.0, 6.0).exp() * strides[:, None] / 2
    return torch.cat((centre - half, centre + half), -1)

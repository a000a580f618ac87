"""The network that names a vehicle's colour: a crop in, a logit for each of `COLOURS` out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.colours import COLOURS
from training.detector import INPUT_SCALE, ConvUnit, Residual


class Attribute(nn.Module):
    """Maps crops (N, 3, 64, 64) float BGR 0..255 to (N, classes) logits.

    What is looked for lies somewhere in the crop and may be small beside everything else, so each
    feature counts by its average and by its maximum.
    """

    def __init__(self, classes: int = len(COLOURS)) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            ConvUnit(3, 16, stride=2),
            ConvUnit(16, 24, stride=2),
            Residual(24),
            ConvUnit(24, 40, stride=2),
            Residual(40),
            ConvUnit(40, 64, stride=2),
        )
        self.average, self.largest = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.classes = nn.Linear(2 * 64, classes)

    def forward(self, crops: Tensor) -> Tensor:
        """Returns the logits, (N, classes)."""
        features = self.trunk(crops * INPUT_SCALE)
        # Flat before they are joined: so the network converts to ncnn as well.
        pooled = [pool(features).flatten(1) for pool in (self.average, self.largest)]
        return self.classes(torch.cat(pooled, 1))

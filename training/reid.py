"""The re-identification network: a crop in, a direction on the unit sphere out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector import INPUT_SCALE, ConvUnit, Residual

EMBEDDING = 128
_BANDS = 4
"""Horizontal bands pooled apart: hat, coat, trousers and shoes differ in place."""


class Reid(nn.Module):
    """Maps crops (N, 3, 128, 64) float BGR 0..255 to (N, 128) vectors of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            ConvUnit(3, 24, stride=2),
            ConvUnit(24, 40, stride=2),
            Residual(40),
            ConvUnit(40, 64, stride=2),
            Residual(64),
            ConvUnit(64, 96, stride=2),
            Residual(96),
        )
        self.pool = nn.AvgPool2d((128 // 16 // _BANDS, 64 // 16))
        self.project = nn.Linear(96 * _BANDS, EMBEDDING)

    def forward(self, crops: Tensor) -> Tensor:
        """Returns the embeddings, (N, 128)."""
        pooled = self.pool(self.trunk(crops * INPUT_SCALE)).flatten(1)
        return functional.normalize(self.project(pooled), dim=1)


def identity_loss(embeddings: Tensor, identities: Tensor, temperature: float = 0.07) -> Tensor:
    """Returns the supervised contrastive loss (Khosla et al., 2020, arXiv:2004.11362).

    Args:
        embeddings: (N, D), length 1.
        identities: (N,) int64; every identity appears at least twice.
        temperature: how sharply near strangers are pushed away.
    """
    alike = embeddings @ embeddings.T / temperature
    own = torch.eye(len(alike), dtype=torch.bool)
    log_share = alike.masked_fill(own, float("-inf")).log_softmax(1).masked_fill(own, 0.0)
    same = (identities[:, None] == identities[None, :]) & ~own
    return -((log_share * same).sum(1) / same.sum(1)).mean()

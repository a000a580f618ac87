"""What both trainings share: the learning rate over time, and the averaged weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn


def rate_factor(step: int, steps: int, warm_up: int = 200) -> float:
    """Returns the learning rate's factor: a linear warm-up, then a cosine down to 2 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    part = (step - warm_up) / max(1, steps - warm_up)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, part)))


class Average:
    """A copy of a network whose weights follow the trained ones slowly."""

    def __init__(self, network: nn.Module, decay: float = 0.998) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay, self._updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Moves the copy towards `network`, quickly at first."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        current = network.state_dict()
        for name, kept in self.network.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(current[name], 1.0 - decay)
            else:
                kept.copy_(current[name])

"""The loop that every training shares."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

from training.schedule import Average, rate_factor


@dataclass(frozen=True)
class Loop:
    """How long and how fast a network learns, and where it is kept."""

    output: Path
    """The averaged weights, written every 250 steps."""
    steps: int
    rate: float
    weight_decay: float
    warm_up: int = 200
    longest_gradient: float = 20.0

    def run(self, network: nn.Module, next_loss: Callable[[], Tensor]) -> None:
        """Trains `network`; `next_loss` gives the scalar loss of the next batch."""
        average = Average(network)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=self.rate, weight_decay=self.weight_decay
        )
        started, mean = time.perf_counter(), 0.0
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = self.rate * rate_factor(step, self.steps, self.warm_up)
            loss = next_loss()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), self.longest_gradient)
            optimiser.step()
            average.update(network)
            mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
            if step % 50 == 0 or step + 1 == self.steps:
                print(
                    f"{step:6d} loss {mean:.3f} {time.perf_counter() - started:.0f} s", flush=True
                )
            if step % 250 == 249 or step + 1 == self.steps:
                torch.save(average.network.state_dict(), self.output)


def arguments(
    description: str | None, output: str, steps: int, rate: float
) -> argparse.ArgumentParser:
    """Returns the options that every training has, with these values unless told otherwise."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("-o", "--output", type=Path, default=Path(output))
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def prepare(chosen: argparse.Namespace) -> None:
    """Makes room for the weights, limits threads and seeds torch, as the options say."""
    torch.manual_seed(chosen.seed)
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(1)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)

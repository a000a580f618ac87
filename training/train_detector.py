"""Trains the detector: `python -m training.train_detector --data runs/data -o runs/detector.pt`."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from training import loop
from training.dataset import NETWORK_HEIGHT, NETWORK_WIDTH
from training.detector import Detector, cell_grid
from training.detector_loss import detector_loss
from training.frames import Frames


def train(chosen: argparse.Namespace) -> None:
    """Runs the training and writes the averaged weights."""
    rng = np.random.default_rng(chosen.seed)
    network = Detector().to(memory_format=torch.channels_last)
    if chosen.start:
        network.load_state_dict(torch.load(chosen.start, weights_only=True))
    logits = torch.compile(network.logits) if chosen.compile else network.logits
    cells, strides = cell_grid(NETWORK_HEIGHT, NETWORK_WIDTH)
    batches = Frames.load(chosen.data).batches(chosen.batch, rng)

    def next_loss() -> torch.Tensor:
        images, wanted = next(batches)
        return detector_loss(logits(images), cells, strides, wanted)

    loop.Loop(chosen.output, chosen.steps, chosen.rate, 0.02).run(network, next_loss)


def main() -> None:
    """Command line."""
    parser = loop.arguments(__doc__, "runs/detector.pt", steps=6000, rate=2e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--compile", action="store_true", help="fuse with a C++ compiler: faster")
    chosen = parser.parse_args()
    loop.prepare(chosen)
    train(chosen)


if __name__ == "__main__":
    main()

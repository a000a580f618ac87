"""Trains the two-stage detector, both networks together, from the one-stage detector's features.

`python -m training.train_two_stage --data runs/data -o runs/two_stage.pt`
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from training import loop
from training.frames import Frames
from training.two_stage import TwoStage, load_features
from training.two_stage_loss import losses


def train(chosen: argparse.Namespace) -> None:
    """Runs the training and writes the averaged weights."""
    rng = np.random.default_rng(chosen.seed)
    network = TwoStage().eval()  # the batch norms that came with the features stay as they are
    load_features(network.first, chosen.features)
    if chosen.start:
        network.load_state_dict(torch.load(chosen.start, weights_only=True))
    network.first.to(memory_format=torch.channels_last)
    if chosen.compile:
        network.first.compile()
    batches = Frames.load(chosen.data).batches(chosen.batch, rng)

    def next_loss() -> torch.Tensor:
        images, wanted = next(batches)
        return losses(network, images, wanted, rng)

    loop.Loop(chosen.output, chosen.steps, chosen.rate, 0.02).run(network, next_loss)


def main() -> None:
    """Command line."""
    parser = loop.arguments(__doc__, "runs/two_stage.pt", steps=6000, rate=1e-3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--compile", action="store_true", help="fuse with a C++ compiler: faster")
    parser.add_argument(
        "--features", type=Path, default=Path("models/street-pico/street-pico.onnx")
    )
    chosen = parser.parse_args()
    loop.prepare(chosen)
    train(chosen)


if __name__ == "__main__":
    main()

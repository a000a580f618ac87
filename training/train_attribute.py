"""Trains the colour network: `python -m training.train_attribute -o runs/attribute.pt`.

Renders its crops by itself, in a few minutes; takes some minutes more on one thread.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training import loop
from training.attribute import Attribute
from training.coloured import SIDE, Coloured, harvest_all
from training.seeds import TRAINING

_BATCH = 128


def batch_of(crops: Coloured, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Returns crops (N, 3, 64, 64) float32, changed at random, and their colours (N,)."""
    rows = rng.integers(len(crops.colours), size=_BATCH)
    images = np.stack([_varied(crops.images_bgr[row], rng) for row in rows])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return pixels.contiguous(memory_format=torch.channels_last), torch.from_numpy(
        crops.colours[rows]
    )


def _varied(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Mirrors a crop, relights it a little, and sometimes hides a part of it.

    A little only: much brighter, a grey is a white.
    """
    changed = image.astype(np.float32) * rng.uniform(0.94, 1.06) + rng.uniform(-4, 4)
    if rng.random() < 0.5:
        changed = changed[:, ::-1]
    if rng.random() < 0.25:
        top, left = rng.integers(0, SIDE - 16, 2)
        high, wide = rng.integers(8, SIDE // 2, 2)
        changed[top : top + high, left : left + wide] = 114
    return changed.clip(0, 255)


def main() -> None:
    """Command line."""
    parser = loop.arguments(__doc__, "runs/attribute.pt", steps=2500, rate=3e-3)
    parser.add_argument("--worlds", type=int, default=len(TRAINING))
    chosen = parser.parse_args()
    loop.prepare(chosen)
    rng = np.random.default_rng(chosen.seed)
    crops = harvest_all(TRAINING[: chosen.worlds], chosen.threads)
    print(f"{len(crops.colours)} crops, of each colour {np.bincount(crops.colours).tolist()}")
    network = Attribute().to(memory_format=torch.channels_last)
    if chosen.start:
        network.load_state_dict(torch.load(chosen.start, weights_only=True))

    def next_loss() -> Tensor:
        images, colours = batch_of(crops, rng)
        return functional.cross_entropy(network(images), colours)

    loop.Loop(chosen.output, chosen.steps, chosen.rate, weight_decay=0.02, warm_up=100).run(
        network, next_loss
    )


if __name__ == "__main__":
    main()

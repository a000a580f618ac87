"""Trains the ReID network: `python -m training.train_reid --data runs/data -o runs/reid.pt`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import loop
from training.reid import Reid, identity_loss

_WORLDS, _PEOPLE, _VIEWS = 4, 14, 2
"""A batch: several worlds, objects of each, crops of each object. Objects of one world share light
and background, so that only the objects themselves tell them apart."""


class Crops:
    """The training crops by world and identity."""

    def __init__(self, folder: Path) -> None:
        self.images_bgr: NDArray[np.uint8] = np.load(folder / "crops.npy", mmap_mode="r")
        table = np.load(folder / "identities.npy")
        self.worlds: list[list[NDArray[np.intp]]] = []
        for world in np.unique(table[:, 0]):
            rows = np.flatnonzero(table[:, 0] == world)
            _, name = np.unique(table[rows, 1], return_inverse=True)
            members = [rows[name == number] for number in range(name.max() + 1)]
            self.worlds.append([rows for rows in members if len(rows) >= _VIEWS])

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns crops (N, 3, 128, 64) float32 and the identity of each."""
        images, names = [], []
        for number in rng.choice(len(self.worlds), _WORLDS, replace=False):
            members = self.worlds[number]
            for who in rng.permutation(len(members))[:_PEOPLE]:
                for row in rng.choice(members[who], _VIEWS, replace=False):
                    images.append(_varied(self.images_bgr[row], rng))
                    names.append(number * 10_000 + who)
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
        return pixels.contiguous(memory_format=torch.channels_last), torch.tensor(names)


def _varied(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirrors, relights and sometimes hides a part of a crop."""
    image = np.array(image)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    gain = rng.uniform(0.8, 1.2)
    image = (image * gain + rng.uniform(-12, 12)).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        top, left = int(rng.integers(0, 96)), int(rng.integers(0, 40))
        image[top : top + int(rng.integers(16, 64)), left : left + int(rng.integers(10, 40))] = 114
    return image


def train(chosen: argparse.Namespace) -> None:
    """Runs the training and writes the averaged weights."""
    rng = np.random.default_rng(chosen.seed)
    crops = Crops(chosen.data)
    network = Reid().to(memory_format=torch.channels_last)
    if chosen.start:
        network.load_state_dict(torch.load(chosen.start, weights_only=True))

    def next_loss() -> torch.Tensor:
        images, names = crops.batch(rng)
        return identity_loss(network(images), names)

    loop.Loop(chosen.output, chosen.steps, chosen.rate, 0.05, 100).run(network, next_loss)


def main() -> None:
    """Command line."""
    chosen = loop.arguments(__doc__, "runs/reid.pt", steps=1500, rate=2e-3).parse_args()
    loop.prepare(chosen)
    train(chosen)


if __name__ == "__main__":
    main()

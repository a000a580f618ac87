"""Trains the ReID network: `python -m training.train_reid --data runs/data -o runs/reid.pt`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.reid import Reid, identity_loss
from training.schedule import Average, rate_factor

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


def train(arguments: argparse.Namespace) -> None:
    """Runs the training and writes the averaged weights."""
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    crops = Crops(arguments.data)
    network = Reid().to(memory_format=torch.channels_last)
    if arguments.start:
        network.load_state_dict(torch.load(arguments.start, weights_only=True))
    average = Average(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=arguments.rate, weight_decay=0.05)
    started, mean = time.perf_counter(), 0.0
    for step in range(arguments.steps):
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * rate_factor(step, arguments.steps, 100)
        images, names = crops.batch(rng)
        loss = identity_loss(network(images), names)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(network)
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0 or step + 1 == arguments.steps:
            print(f"{step:6d} loss {mean:.3f} {time.perf_counter() - started:.0f} s", flush=True)
        if step % 250 == 249 or step + 1 == arguments.steps:
            torch.save(average.network.state_dict(), arguments.output)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/reid.pt"))
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    train(arguments)


if __name__ == "__main__":
    main()

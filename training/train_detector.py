"""Trains the detector: `python -m training.train_detector --data runs/data -o runs/detector.pt`."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.dataset import NETWORK_HEIGHT, NETWORK_WIDTH
from training.detector import Detector, cell_grid
from training.detector_loss import Targets, detector_loss
from training.schedule import Average, rate_factor


@dataclass
class Frames:
    """The training frames, and where in `objects` those of each frame start."""

    images_bgr: NDArray[np.uint8]
    objects: NDArray[np.float32]
    starts: NDArray[np.intp]

    @classmethod
    def load(cls, folder: Path) -> Frames:
        """Opens what `training.dataset` wrote."""
        images = np.load(folder / "frames.npy", mmap_mode="r")
        objects = np.load(folder / "objects.npy")
        starts = np.searchsorted(objects[:, 0], np.arange(len(images) + 1))
        return cls(images, objects, starts)

    def sample(
        self, index: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Returns a frame, changed at random, and its objects (M, 6): box, label, scored."""
        image = np.array(self.images_bgr[index])
        objects = self.objects[self.starts[index] : self.starts[index + 1], 1:].copy()
        if rng.random() < 0.5:
            image, objects = _zoomed(image, objects, rng)
        if rng.random() < 0.5:
            image = image[:, ::-1]
            objects[:, [0, 2]] = NETWORK_WIDTH - objects[:, [2, 0]]
        return _relit(image, rng), objects


def _zoomed(
    image: NDArray[np.uint8], objects: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Magnifies or shrinks around a random point; objects mostly cut off are not scored."""
    zoom = float(np.exp(rng.uniform(np.log(0.8), np.log(1.35))))
    size = np.array([NETWORK_WIDTH, NETWORK_HEIGHT], np.float32)
    shift = (size - size * zoom) * rng.random(2).astype(np.float32)
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]], np.float32)
    grey = (114, 114, 114)
    seen = cv2.warpAffine(image, matrix, (NETWORK_WIDTH, NETWORK_HEIGHT), borderValue=grey)
    moved = objects[:, :4] * zoom + np.tile(shift, 2)
    clipped = moved.clip(0, np.tile(size, 2))
    kept = (clipped[:, 2:] - clipped[:, :2]).prod(1) / (moved[:, 2:] - moved[:, :2]).prod(1)
    objects[:, :4] = clipped
    objects[:, 5] *= kept > 0.35
    return np.asarray(seen, np.uint8), objects[kept > 0.02]


def _relit(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Changes brightness, contrast and tint."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
    levels = np.arange(256)[:, None] * gain + rng.uniform(-10, 10)
    table = levels.clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table[None]), np.uint8)


def batch_of(
    frames: Frames, indices: NDArray[np.intp], rng: np.random.Generator
) -> tuple[torch.Tensor, Targets]:
    """Returns pictures (N, 3, H, W) float32 BGR and their objects."""
    images, rows = [], []
    for place, index in enumerate(indices):
        image, objects = frames.sample(int(index), rng)
        images.append(image)
        rows.append(np.insert(objects, 0, place, axis=1))
    table = torch.from_numpy(np.concatenate(rows))
    wanted = Targets(table[:, 0].long(), table[:, 1:5], table[:, 5].long(), table[:, 6] > 0)
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return pixels.float().contiguous(memory_format=torch.channels_last), wanted


def train(arguments: argparse.Namespace) -> None:
    """Runs the training and writes the averaged weights."""
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    frames = Frames.load(arguments.data)
    network = Detector().to(memory_format=torch.channels_last)
    if arguments.start:
        network.load_state_dict(torch.load(arguments.start, weights_only=True))
    average = Average(network)
    logits = torch.compile(network.logits) if arguments.compile else network.logits
    optimiser = torch.optim.AdamW(network.parameters(), lr=arguments.rate, weight_decay=0.02)
    cells, strides = cell_grid(NETWORK_HEIGHT, NETWORK_WIDTH)
    order = np.empty(0, np.intp)
    started, mean = time.perf_counter(), 0.0
    for step in range(arguments.steps):
        for group in optimiser.param_groups:
            group["lr"] = arguments.rate * rate_factor(step, arguments.steps)
        if len(order) < arguments.batch:
            order = rng.permutation(len(frames.images_bgr))
        chosen, order = order[: arguments.batch], order[arguments.batch :]
        images, wanted = batch_of(frames, chosen, rng)
        loss = detector_loss(logits(images), cells, strides, wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 20.0)
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
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/detector.pt"))
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="fuse with a C++ compiler: faster")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    train(arguments)


if __name__ == "__main__":
    main()

"""The training frames in batches, each changed at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.dataset import NETWORK_HEIGHT, NETWORK_WIDTH


@dataclass
class Targets:
    """The objects of a batch, one row each."""

    image: Tensor
    """(G,) int64: which picture of the batch."""
    boxes_xyxy: Tensor
    """(G, 4) network pixels."""
    labels: Tensor
    """(G,) int64."""
    scored: Tensor
    """(G,) bool; where False, cells upon the object are neither right nor wrong."""


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

    def batches(self, count: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Targets]]:
        """Yields batches of `count` frames without end; all are seen before one comes again."""
        while True:
            order = rng.permutation(len(self.images_bgr))
            for first in range(0, len(order) - count + 1, count):
                yield batch_of(self, order[first : first + count], rng)


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
) -> tuple[Tensor, Targets]:
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

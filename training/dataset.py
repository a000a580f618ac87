"""Training data: frames and crops of many rendered worlds, kept in plain arrays on disk.

`python -m training.dataset -o runs/data` writes frames.npy (F, 288, 512, 3) uint8 BGR, boxes.npz,
crops.npy (K, 128, 64, 3) uint8 BGR and crops.npz. Frames go through JPEG on the way, since the
networks will see compressed video.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.world import SCENES, World, WorldFrame
from training.seeds import TRAINING

NETWORK_WIDTH, NETWORK_HEIGHT = 512, 288
CROP_WIDTH, CROP_HEIGHT = 64, 128
FRAMES_PER_WORLD = 24
FRAME_STEP = 12
_CROPS_PER_FRAME = 9
_START_FRAMES = 4000


@dataclass
class Harvest:
    """What one world gave: frames with their objects, and crops with their identities."""

    frames_bgr: NDArray[np.uint8]
    objects: NDArray[np.float32]
    """(M, 7): frame, x0, y0, x1, y1 in network pixels, label, 1 if it counts or 0 to ignore."""
    crops_bgr: NDArray[np.uint8]
    identities: NDArray[np.int64]
    """(K, 3): world, track id, frame."""


def as_network_input(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the picture at the detector's size; a 16:9 picture keeps its shape."""
    size = (NETWORK_WIDTH, NETWORK_HEIGHT)
    return np.asarray(cv2.resize(image_bgr, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def harvest_world(job: tuple[str, int]) -> Harvest:
    """Renders the training frames of one (scene, seed)."""
    scene, seed = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, SCENES.index(scene)))
    world = World(scene, seed)
    start = int(rng.integers(_START_FRAMES))
    frames, objects, crops, identities = [], [], [], []
    for step in range(FRAMES_PER_WORLD):
        frame = world.render(start + step * FRAME_STEP)
        image = compressed(frame.image_bgr, int(rng.integers(55, 96)))
        frames.append(as_network_input(image))
        objects.append(_objects(frame, step))
        for row in _crop_rows(frame, rng):
            crops.append(crop(image, jittered(frame.boxes_xyxy[row], rng)))
            identities.append((seed * len(SCENES) + SCENES.index(scene), frame.ids[row], step))
    return Harvest(
        np.stack(frames),
        np.concatenate(objects),
        np.array(crops, np.uint8).reshape(-1, CROP_HEIGHT, CROP_WIDTH, 3),
        np.array(identities, np.int64).reshape(-1, 3),
    )


def crop(image_bgr: NDArray[np.uint8], box_xyxy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns the box cut out and stretched to (128, 64, 3)."""
    height, width = image_bgr.shape[:2]
    x0, y0 = (max(0, int(part)) for part in np.floor(box_xyxy[:2]))
    x1, y1 = (int(part) for part in np.ceil(box_xyxy[2:]))
    part = image_bgr[min(y0, height - 1) : max(y1, y0 + 1), min(x0, width - 1) : max(x1, x0 + 1)]
    size = (CROP_WIDTH, CROP_HEIGHT)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def compressed(image_bgr: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Returns the picture after JPEG of this quality, 0..100."""
    _, packed = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def _objects(frame: WorldFrame, step: int) -> NDArray[np.float32]:
    height, width = frame.image_bgr.shape[:2]
    ratio = np.array([NETWORK_WIDTH / width, NETWORK_HEIGHT / height] * 2, np.float32)
    rows = np.empty((len(frame.ids), 7), np.float32)
    rows[:, 0] = step
    rows[:, 1:5] = frame.boxes_xyxy * ratio
    rows[:, 5] = frame.labels
    rows[:, 6] = frame.scored
    return rows


def _crop_rows(frame: WorldFrame, rng: np.random.Generator) -> NDArray[np.intp]:
    tall = frame.boxes_xyxy[:, 3] - frame.boxes_xyxy[:, 1] >= 18
    rows = np.flatnonzero(tall & (frame.visibility >= 0.35))
    return rng.permutation(rows)[:_CROPS_PER_FRAME]


def jittered(box_xyxy: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Moves each edge a little, as a detector would."""
    size = np.tile(box_xyxy[2:] - box_xyxy[:2], 2)
    return np.asarray(box_xyxy + size * rng.normal(0.0, 0.04, 4), np.float32)


def write_dataset(folder: Path, workers: int, seeds: tuple[int, ...] = TRAINING) -> None:
    """Renders the worlds of `seeds`, the scenes taking turns, and writes them to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(SCENES[seed % len(SCENES)], seed) for seed in seeds]
    shape = (len(jobs) * FRAMES_PER_WORLD, NETWORK_HEIGHT, NETWORK_WIDTH, 3)
    frames = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, shape)
    objects, crops, identities = [], [], []
    with ProcessPoolExecutor(workers) as pool:
        for number, found in enumerate(pool.map(harvest_world, jobs)):
            first = number * FRAMES_PER_WORLD
            frames[first : first + FRAMES_PER_WORLD] = found.frames_bgr
            found.objects[:, 0] += first
            objects.append(found.objects)
            crops.append(found.crops_bgr)
            identities.append(found.identities)
    np.save(folder / "objects.npy", np.concatenate(objects))
    np.save(folder / "crops.npy", np.concatenate(crops))
    np.save(folder / "identities.npy", np.concatenate(identities))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/data"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    write_dataset(arguments.output, arguments.workers)


if __name__ == "__main__":
    main()

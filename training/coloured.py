"""Crops of rendered vehicles with the names of their colours, cut out as the pipeline does.

Of vehicles only: what people wear has patterns and parts, and no one name.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.manifest import PreprocessSpec
from pipeline.world import LABELS, SCENES, World, WorldFrame
from training.colours import named
from training.dataset import compressed, jittered

SIDE = 64
"""Width and height of a crop, pixels."""
MIN_HEIGHT_PX, MIN_VISIBILITY = 18, 0.35
"""Nobody can tell the colour of what is smaller or more hidden."""
VEHICLES = ("car", "van", "bus")
_FRAMES_PER_WORLD, _FRAME_STEP = 16, 45
_START_FRAMES = 4000


@dataclass
class Coloured:
    """K crops."""

    images_bgr: NDArray[np.uint8]
    """(K, 64, 64, 3)."""
    colours: NDArray[np.int64]
    """(K,) index into `COLOURS`."""


def cut_out(image_bgr: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns what the pipeline shows a network of these boxes (K, 4), as (K, 64, 64, 3)."""
    stretch = PreprocessSpec(resize="stretch")
    preprocessor = Preprocessor(stretch, SIDE, SIDE, np.dtype(np.uint8), "nhwc")
    return preprocessor.crops(BgrPicture(image_bgr), boxes_xyxy)


def clear(frame: WorldFrame) -> NDArray[np.intp]:
    """Returns the rows of the vehicles whose colour can be told."""
    painted = np.isin(frame.labels, [LABELS.index(name) for name in VEHICLES])
    tall = frame.boxes_xyxy[:, 3] - frame.boxes_xyxy[:, 1] >= MIN_HEIGHT_PX
    return np.flatnonzero(painted & tall & (frame.visibility >= MIN_VISIBILITY))


def harvest(job: tuple[str, int]) -> Coloured:
    """Renders some frames of one (scene, seed) and cuts the vehicles out of them."""
    scene, seed = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, SCENES.index(scene), 1))
    world, start = World(scene, seed), int(rng.integers(_START_FRAMES))
    images, colours = [], []
    for step in range(_FRAMES_PER_WORLD):
        frame = world.render(start + step * _FRAME_STEP)
        rows = clear(frame)
        boxes = [jittered(box, rng) for box in frame.boxes_xyxy[rows]]
        image = compressed(frame.image_bgr, int(rng.integers(55, 96)))
        images.append(cut_out(image, np.array(boxes, np.float32).reshape(-1, 4)))
        colours.append(named(frame.colours_bgr[rows]))
    return Coloured(np.concatenate(images), np.concatenate(colours))


def harvest_all(seeds: Iterable[int], workers: int) -> Coloured:
    """Renders worlds of these seeds, the scenes taking turns."""
    jobs = [(SCENES[seed % len(SCENES)], seed) for seed in seeds]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(harvest, jobs))
    return Coloured(
        np.concatenate([part.images_bgr for part in parts]),
        np.concatenate([part.colours for part in parts]),
    )

"""Tracking: processor time a frame on the same detections, by number of objects.

The batched filter beside filterpy, one filter an object (`motion: filterpy`); everything else of
the tracker is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from benchmarks.harness import Options, Row, Usage, interleaved
from pipeline.detection.detections import Detections
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker

OBJECTS = (6, 30, 100, 300, 1000)
_FRAME_NS = 40_000_000
_SPACING_PX = 60.0
"""Room of an object to each side: few of them meet as often as many."""


def rows(options: Options) -> list[Row]:
    """One row a number of objects."""
    return [_row(options, objects) for objects in OBJECTS]


def _row(options: Options, objects: int) -> Row:
    frames = max(8, options.take(1500, 6000) // objects) if objects > 6 else options.take(100, 300)
    scene = walkers(objects, frames, np.random.default_rng(objects))
    rounds = options.take(2, 5) if objects < 1000 else options.take(1, 3)
    numbers = interleaved(
        {motion: partial(_frame_us, scene, motion) for motion in ("kalman", "filterpy")}, rounds
    )
    return Row(
        f"{objects} objects", "µs", numbers["kalman"], "filterpy an object", numbers["filterpy"]
    )


def _frame_us(scene: Sequence[Detections], motion: Literal["kalman", "filterpy"]) -> float:
    tracker = Tracker(TrackSpec(motion=motion))
    tracker.update(scene[0], 0)
    with Usage() as usage:
        for index, detections in enumerate(scene[1:], 1):
            tracker.update(detections, index * _FRAME_NS)
    return usage.cpu_s / (len(scene) - 1) * 1e6


def walkers(objects: int, frames: int, rng: np.random.Generator) -> list[Detections]:
    """Detections of people who walk about at random; one in ten is missed in a frame."""
    side = _SPACING_PX * objects**0.5
    centre = rng.uniform(0, side, (objects, 2))
    size = np.column_stack([rng.uniform(12, 20, objects), rng.uniform(30, 50, objects)])
    velocity = rng.normal(0, 1.5, (objects, 2))
    scene = []
    for _ in range(frames):
        velocity += rng.normal(0, 0.1, (objects, 2))
        centre = (centre + velocity) % side
        seen = rng.random(objects) > 0.1
        middle = centre[seen] + rng.normal(0, 0.5, (seen.sum(), 2))
        boxes = np.hstack([middle - size[seen] / 2, middle + size[seen] / 2])
        scores = rng.uniform(0.3, 1, len(boxes))
        scene.append(
            Detections(
                boxes.astype(np.float32), scores.astype(np.float32), np.zeros(len(boxes), np.int32)
            )
        )
    return scene

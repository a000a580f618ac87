"""Which camera goes to which process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.config import PipelineConfig


def places(config: PipelineConfig) -> int:
    """How many processes there may be: as many as said, or one a core."""
    wanted = config.run.shards
    return len(os.sched_getaffinity(0)) if wanted == "auto" else wanted


def spread(cameras: Sequence[str], shards: int, before: Mapping[str, int]) -> dict[str, int]:
    """The number of the shard of each camera.

    Args:
        cameras: ids, in the order of the configuration.
        shards: how many there may be.
        before: where cameras are now; those stay there, as a move would cost them frames.

    Returns:
        By camera; of the others each went to the shard that then had fewest.
    """
    placed = {camera: before[camera] for camera in cameras if camera in before}
    count = Counter(placed.values())
    for camera in cameras:
        if camera not in placed:
            placed[camera] = min(range(shards), key=lambda shard: count[shard])
            count[placed[camera]] += 1
    return placed


def part(
    config: PipelineConfig, placed: Mapping[str, int], shard: int, shards: int
) -> PipelineConfig | None:
    """The configuration with the cameras of one shard only; None where it has none.

    Args:
        shards: as which `run.shards` is told there, for a fair share of the machine; settled at the
            start of a run.
    """
    cameras = tuple(camera for camera in config.cameras if placed[camera.id] == shard)
    if not cameras:
        return None
    run = config.run.model_copy(update={"shards": shards})
    return config.model_copy(update={"cameras": cameras, "run": run})


def cores(config: PipelineConfig) -> int:
    """How many of the machine's processors are for one process."""
    return max(1, len(os.sched_getaffinity(0)) // places(config))

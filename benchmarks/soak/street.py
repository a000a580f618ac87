"""What the cameras see: clips of the rendered street, painted once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from pipeline.media.writer import VideoWriter
from pipeline.world import World

WIDTH, HEIGHT, FPS = 1280, 720, 15.0
_SCENES = ("day", "dusk", "crowd")


def clips(folder: Path, count: int, seconds: float, processes: int) -> list[Path]:
    """H.264 clips of different streets at 1280x720 and 15 fps; those that are there are kept."""
    paint = partial(_clip, folder, round(seconds * FPS))
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(paint, range(count)))


def _clip(folder: Path, frames: int, number: int) -> Path:
    scene = _SCENES[number % len(_SCENES)]
    path = folder / f"{scene}-{number}-{frames}.mp4"
    if not path.exists():
        world = World(scene, number, WIDTH, HEIGHT, FPS)
        part = path.with_suffix(".part")
        with VideoWriter(part, WIDTH, HEIGHT, FPS) as writer:
            for index in range(frames):
                writer.write(world.render(index).image_bgr, round(index * 1e9 / FPS))
        part.rename(path)
    return path

"""Clips of the rendered world, made for a benchmark."""

from __future__ import annotations

from pathlib import Path

from pipeline.media.writer import VideoWriter
from pipeline.world import World

_FPS = 25.0
_RENDERED = 25
"""Different pictures in a clip; rendering is slow, so a longer clip goes to and fro over them."""


def clip(folder: Path, frames: int, width: int = 640, height: int = 360, seed: int = 1) -> Path:
    """An H.264 clip of a street by day; made once."""
    path = folder / f"{width}x{height}-{frames}-{seed}.mp4"
    if not path.exists():
        world = World("day", seed, width, height, _FPS)
        pictures = [world.render(i).image_bgr for i in range(min(frames, _RENDERED))]
        there_and_back = pictures + pictures[-2:0:-1]
        with VideoWriter(path, width, height, _FPS) as writer:
            for index in range(frames):
                picture = there_and_back[index % len(there_and_back)]
                writer.write(picture, round(index * 1e9 / _FPS))
    return path

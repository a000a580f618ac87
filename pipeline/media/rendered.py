"""The rendered street as a source, for demonstrations and tests without any video."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.media.timeline import NS_PER_S
from pipeline.world import World


class RenderedSource(Source):
    """Renders a scene frame by frame; the same arguments give the same pictures.

    Args:
        scene: one of `pipeline.world.SCENES`.
        seed: chooses the street and who is on it.
        width: pixels.
        height: pixels.
        fps: frames per second.
        seconds: how long; None: for ever.

    Attributes:
        world: what is rendered; knows what is in each frame.

    Raises:
        ValueError: the world cannot be made so.
    """

    def __init__(
        self, scene: str, seed: int, width: int, height: int, fps: float, seconds: float | None
    ) -> None:
        super().__init__()
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"expected seconds > 0, got {seconds:g}")
        self.world = World(scene, seed, width, height, fps)
        self._scene, self._fps = scene, fps
        self._count = None if seconds is None else max(1, round(seconds * fps))
        self._interrupted = threading.Event()

    def open(self) -> SourceInfo:
        duration_ns = None if self._count is None else self._pts_ns(self._count)
        return SourceInfo(
            self.world.width,
            self.world.height,
            self._fps,
            self._count,
            duration_ns,
            f"rendered {self._scene}",
            False,
            "rendered",
        )

    def frames(self) -> Iterator[SourceFrame]:
        index = 0
        while not self._interrupted.is_set() and (self._count is None or index < self._count):
            picture = BgrPicture(self.world.render(index).image_bgr)
            yield SourceFrame(index, self._pts_ns(index), picture)
            index += 1

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()

    def _pts_ns(self, index: int) -> int:
        return round(index * NS_PER_S / self._fps)

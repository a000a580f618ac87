"""The rendered street as a source, for demonstrations and tests without any video."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.media.steady import Steady
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
        start_s: first moment wanted, seconds.
        end_s: first moment not wanted any more.

    Attributes:
        world: what is rendered; knows what is in each frame.

    Raises:
        ValueError: the world cannot be made so.
    """

    def __init__(
        self,
        scene: str,
        seed: int,
        width: int,
        height: int,
        fps: float,
        seconds: float | None,
        start_s: float = 0.0,
        end_s: float | None = None,
    ) -> None:
        super().__init__()
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"expected seconds > 0, got {seconds:g}")
        self.world = World(scene, seed, width, height, fps)
        self._scene, self._steady = scene, Steady(fps, start_s, end_s)
        self._count = None if seconds is None else max(1, round(seconds * fps))
        self._interrupted = threading.Event()

    def open(self) -> SourceInfo:
        duration_ns = None if self._count is None else self._steady.pts_ns(self._count)
        return SourceInfo(
            self.world.width,
            self.world.height,
            self._steady.fps,
            self._count,
            duration_ns,
            f"rendered {self._scene}",
            False,
            "rendered",
        )

    def frames(self) -> Iterator[SourceFrame]:
        for index in self._steady.wanted(self._count):
            if self._interrupted.is_set():
                return
            picture = BgrPicture(self.world.render(index).image_bgr)
            yield SourceFrame(index, self._steady.pts_ns(index), picture)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()

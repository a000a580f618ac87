"""A few frames of every camera, so that each measurement sees the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.errors import SourceError
from pipeline.graph import Camera, Graph
from pipeline.media.playlist import Playlist
from pipeline.media.sampling import FrameSampler
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.queues import OnFull


@dataclass(frozen=True, slots=True)
class Footage:
    """The first frames of one camera.

    Attributes:
        camera: they come from.
        info: of its source.
        frames: that the graph would take; at least one.
        decode_ms: wall time of reading, a frame; of a live camera, which is mostly waited for,
            processor time.
        cpu_ms: processor time of reading, a frame.
    """

    camera: Camera
    info: SourceInfo
    frames: tuple[SourceFrame, ...]
    decode_ms: float
    cpu_ms: float


def shoot(camera: Camera, count: int) -> Footage:
    """Reads the first frames that the graph would take of a camera; more are not read.

    Raises:
        SourceError: it cannot be opened or read, or has no frame.
    """
    source = First(camera, count)
    try:
        info = source.open()
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        frames = tuple(source.frames())
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    finally:
        source.close()
    if not frames:
        raise SourceError(f"camera {camera.id!r} ({camera.uri}): it gave no frame to measure with")
    cpu_ms = cpu_s / len(frames) * 1e3
    return Footage(
        camera, info, frames, cpu_ms if camera.live else wall_s / len(frames) * 1e3, cpu_ms
    )


def played(
    graph: Graph,
    footage: Sequence[Footage],
    times: int = 1,
    *,
    decoded: bool = True,
    before: Callable[[], None] = lambda: None,
) -> Graph:
    """The graph on these frames, over and over, at its own pace; none is dropped.

    Args:
        times: how often.
        decoded: reads and decodes them anew each time; live ones come from memory all the same.
        before: called before each frame from memory.
    """

    def source(shot: Footage) -> Source:
        if decoded and not shot.camera.live:
            return First(shot.camera, len(shot.frames))
        return Kept(shot, before)

    def make(shot: Footage) -> Callable[[], Source]:
        return lambda: Playlist([lambda: source(shot)] * times)

    cameras = tuple(
        replace(
            shot.camera, make=make(shot), live=False, realtime=False, on_full=OnFull.BLOCK,
            max_fps=None, every=1,
        )
        for shot in footage
    )  # fmt: skip
    return replace(graph, cameras=cameras)


class First(Source):
    """The first frames that are taken of a camera.

    Args:
        camera: whose source it is.
        count: of frames.
    """

    def __init__(self, camera: Camera, count: int) -> None:
        super().__init__()
        self._source = camera.make()
        self._sampler = FrameSampler(camera.max_fps, camera.every)
        self._count = count

    def open(self) -> SourceInfo:
        return self._source.open()

    def frames(self) -> Iterator[SourceFrame]:
        take = self._sampler.take
        return islice((f for f in self._source.frames() if take(f.index, f.pts_ns)), self._count)

    def close(self) -> None:
        self._source.close()

    def interrupt(self) -> None:
        self._source.interrupt()

    @property
    def faults(self) -> Mapping[str, int]:
        return self._source.faults


class Kept(Source):
    """Frames from memory.

    Args:
        footage: that has them.
        before: called before each frame.
    """

    def __init__(self, footage: Footage, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._footage = footage
        self._before = before
        self._interrupted = False

    def open(self) -> SourceInfo:
        return self._footage.info

    def frames(self) -> Iterator[SourceFrame]:
        for frame in self._footage.frames:
            self._before()
            if self._interrupted:
                return
            yield frame

    def close(self) -> None:
        """There is nothing to give back."""

    def interrupt(self) -> None:
        self._interrupted = True

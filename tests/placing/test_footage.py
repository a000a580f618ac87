"""The same few frames for every measurement, whatever the camera."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.graph import Camera, Graph
from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.placing.footage import played, shoot
from pipeline.serial import run_serially


class Endless(Source):
    """Frames for ever, each lighter than the one before; counts how many were asked for."""

    read = 0

    def __init__(self, first: int = 0, last: int | None = None) -> None:
        super().__init__()
        self._numbers = count(first) if last is None else iter(range(first, last))

    def open(self) -> SourceInfo:
        return SourceInfo(4, 4, 25.0, None, None, "none", False, "none")

    def frames(self) -> Iterator[SourceFrame]:
        for number in self._numbers:
            Endless.read += 1
            picture = BgrPicture(np.full((4, 4, 3), number % 256, np.uint8))
            yield SourceFrame(number, number * 40_000_000, picture)

    def close(self) -> None: ...

    def interrupt(self) -> None: ...


def frames(graph: Graph) -> list[tuple[int, int, int]]:
    """Sequence, time in milliseconds and lightness of every frame that enters."""
    with run_serially(graph) as steps:
        packets = [step["decode"][0] for step in steps]
    return [
        (p.frame.sequence, p.frame.pts_ns // 1_000_000, int(p.payload.picture.bgr()[0, 0, 0]))
        for p in packets
    ]


@pytest.mark.parametrize("live", [False, True])
def test_an_endless_camera_gives_so_many_frames(live: bool) -> None:
    camera = Camera("cam", "endless", Endless, live=live, every=2)
    footage = shoot(camera, 3)
    assert [frame.index for frame in footage.frames] == [0, 2, 4]
    Endless.read = 0
    graph = played(Graph((camera,), ()), [footage], 2)
    assert not graph.cameras[0].live
    light = [lightness for _, _, lightness in frames(graph)]
    assert light == [0, 2, 4, 0, 2, 4]
    assert Endless.read == (0 if live else 10), "a live camera is not asked twice"


def test_time_goes_on_where_the_frames_begin_again() -> None:
    camera = Camera("cam", "endless", Endless)
    graph = played(Graph((camera,), ()), [shoot(camera, 2)], 3, decoded=False)
    times = [time for _, time, _ in frames(graph)]
    assert times == sorted(set(times))


def test_a_short_camera_gives_what_it_has_and_an_empty_one_is_told() -> None:
    short = Camera("cam", "short", lambda: Endless(0, 2))
    assert len(shoot(short, 60).frames) == 2
    empty = Camera("cam", "empty", lambda: Endless(0, 0))
    with pytest.raises(SourceError, match=r"'cam' \(empty\): it gave no frame"):
        shoot(empty, 60)

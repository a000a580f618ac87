"""Sources whose child processes die, hang and crash: real processes, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engines.isolation.restarts import Budget
from pipeline.errors import SourceError
from pipeline.media.connection import Coding, Connect, Shot
from pipeline.media.isolated import IsolatedCamera, IsolatedSource, packed
from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo, SourceState
from pipeline.media.sources import SourceOptions, open_source
from tests.engines.processes import alive, descriptors


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


def read(source: Source) -> list[SourceFrame]:
    try:
        source.open()
        return list(source.frames())
    finally:
        source.close()


def same(one: SourceFrame, other: SourceFrame) -> bool:
    (planes, kept), (others, others_kept) = packed(one.picture), packed(other.picture)
    assert planes.keys() == others.keys()
    told = [(f.index, f.pts_ns, f.epoch, f.damaged, f.stalled) for f in (one, other)]
    alike = all(np.array_equal(planes[name], others[name]) for name in planes)
    return alike and told[0] == told[1] and kept == others_kept


def isolated(uri: Path | str, silence_s: float = 10.0) -> IsolatedSource:
    return IsolatedSource(str(uri), partial(open_source, str(uri)), silence_s)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {}), ("a.mov", {"rotation": 90}), ("a.avi", {"codec": "ffv1", "pix_fmt": "bgr0"})],
)
def test_frames_are_those_of_this_process(make_clip, name, options) -> None:
    clip = make_clip(name, **options)
    plain, apart = open_source(str(clip)), open_source(str(clip), SourceOptions(isolate=True))
    assert plain.open() == apart.open()
    ours, theirs = list(plain.frames()), list(apart.frames())
    assert len(ours) == len(theirs) == 30
    assert all(map(same, ours, theirs))
    assert plain.faults == apart.faults
    for source in (plain, apart):
        source.close()
    with pytest.raises(ValueError, match="read-only"):
        next(iter(packed(theirs[0].picture)[0].values()))[:] = 0


def test_a_loop_goes_on_in_another_process(make_clip) -> None:
    source = open_source(str(make_clip("a.mp4")), SourceOptions(isolate=True, loop=True))
    source.open()
    frames = [frame for frame, _ in zip(source.frames(), range(70), strict=False)]
    source.close()
    assert [frame.index for frame in frames] == list(range(70))
    assert [frame.epoch for frame in frames] == [0] * 30 + [1] * 30 + [2] * 10


@pytest.mark.parametrize(
    ("fault", "hit"), [(signal.SIGKILL, (5, 20)), (signal.SIGSEGV, (5, 20)), (signal.SIGSTOP, (5,))]
)
def test_a_recording_goes_on_where_its_process_died(make_clip, fault, hit) -> None:
    clip = make_clip("a.mp4")
    source = isolated(clip, silence_s=2.0)
    source.open()
    frames, pids = [], set()
    for frame in source.frames():
        frames.append(frame)
        pids.add(source._decoder.pid)
        if frame.index in hit:
            os.kill(source._decoder.pid, fault)
    source.close()
    assert all(map(same, frames, read(open_source(str(clip)))))
    assert len(frames) == 30
    assert source.faults == {"decoder_restart": len(hit)}
    assert source.restart.count == len(hit)
    told = "no sign of life for 2 s" if fault == signal.SIGSTOP else f"killed by {fault.name}"
    assert told in source.restart.reason
    assert told in source.condition.last_error
    assert not any(map(alive, pids))


class Poisoned(Source):
    """Ten small pictures, the fifth of which kills who decodes it."""

    def open(self) -> SourceInfo:
        return SourceInfo(8, 8, 25, 10, None, "none", False, "none")

    def frames(self) -> Iterator[SourceFrame]:
        for index in range(10):
            if index == 4:
                print("no such macroblock", flush=True)
                os.kill(os.getpid(), signal.SIGSEGV)
            yield SourceFrame(index, index, BgrPicture(np.zeros((8, 8, 3), np.uint8)))

    def close(self) -> None:
        pass

    def interrupt(self) -> None:
        pass


def test_a_recording_that_kills_every_process_is_given_up() -> None:
    source = IsolatedSource("poison.mp4", Poisoned)
    source.open()
    seen = []
    told = r"poison.mp4: .*killed by SIGSEGV \('no such macroblock'\), 3 times at frame 4; .*end_s"
    with pytest.raises(SourceError, match=told):
        seen.extend(frame.index for frame in source.frames())
    source.close()
    assert seen == [0, 1, 2, 3]


def test_errors_are_the_sources_own(tmp_path) -> None:
    path = tmp_path / "no.mp4"
    with pytest.raises(SourceError) as here:
        open_source(str(path)).open()
    source = isolated(path)
    with pytest.raises(SourceError) as there:
        source.open()
    source.close()
    assert str(here.value) == str(there.value)


def test_what_cannot_be_started_is_tried_again_and_then_told(make_clip, monkeypatch) -> None:
    source = isolated(make_clip("a.mp4"))
    monkeypatch.setattr("sys.executable", "/no/python")
    with pytest.raises(SourceError, match=r"No such file.*3 times at frame 0"):
        source.open()
    source.close()


def test_interrupting_ends_it(make_clip) -> None:
    source = open_source(str(make_clip("a.mp4")), SourceOptions(isolate=True, loop=True))
    source.open()
    for frame in source.frames():
        if frame.index == 5:
            source.interrupt()
    source.close()
    assert frame.index < 60


def mortal(pictures: int) -> Connect:
    """A connection to a camera whose process dies behind some pictures."""

    def connect(faults: Counter[str]) -> Generator[Shot | None, None, None]:
        yield None
        for number in range(pictures):
            picture = BgrPicture(np.full((8, 8, 3), number, np.uint8))
            yield Shot(picture, Coding("none", "none", 25.0), time.monotonic_ns())
            faults["corrupt_packet"] += 1
        os.kill(os.getpid(), signal.SIGKILL)

    return connect


def first(source: Source, count: int) -> list[SourceFrame]:
    source.open()
    frames = [frame for frame, _ in zip(source.frames(), range(count), strict=False)]
    source.close()
    return frames


def camera(make: Callable[[], Connect], **session) -> IsolatedCamera:
    return IsolatedCamera("cam", make, retry_s=0.05, freeze_s=0, **session)


def test_a_camera_is_connected_to_again_where_its_process_died() -> None:
    source = camera(partial(mortal, 3), stall_s=60)  # a process may take its time to start
    frames = first(source, 8)
    assert [frame.index for frame in frames] == list(range(8))
    assert all(one.pts_ns < other.pts_ns for one, other in pairwise(frames))
    assert [int(frame.picture.bgr()[0, 0, 0]) for frame in frames] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert source.faults["decoder_restart"] == source.restart.count == 2
    assert source.faults["corrupt_packet"] >= 4
    assert source.condition.sessions == 3
    assert "killed by SIGKILL" in source.condition.last_error


def test_a_camera_that_uses_up_its_budget_waits_and_says_so() -> None:
    source = camera(partial(mortal, 1), budget=Budget(2, 60.0, 1000.0), stall_s=0.1)
    source.open()
    stalled = 0
    for frame in source.frames():  # its last picture comes again and again, marked
        stalled = stalled + 1 if frame.stalled else 0
        if stalled == 5:
            break
    source.close()
    assert source.restart.count == 3
    assert source.condition.state is SourceState.RETRYING
    assert source.condition.reason.endswith(
        "was killed by SIGKILL; it has used up 2 restarts in 60 s, next in 1000 s"
    )

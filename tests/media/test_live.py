"""A camera's sessions, with connections that do what a test says and a clock it moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from itertools import islice

import numpy as np
import pytest

from pipeline.clock import ManualClock
from pipeline.errors import SourceError
from pipeline.media.connection import Coding, Shot
from pipeline.media.live import LiveSource
from pipeline.media.picture import BgrPicture
from pipeline.media.source import SourceFrame, SourceState

Script = Callable[["Camera"], Iterator[Shot | None]]
MS = 1_000_000
H264 = Coding("h264", "pyav h264", 25.0)


class Camera:
    """Connections as scripts say, one after another; the last script again and again.

    Attributes:
        open: connections that are open now.
        began_ms: when each connection was begun.
    """

    def __init__(self, clock: ManualClock, *scripts: Script) -> None:
        self.clock = clock
        self.open = self.most_open = self.seen = 0
        self.began_ms: list[int] = []
        self._scripts = scripts

    def connect(self, faults: Counter[str]) -> Generator[Shot | None, None, None]:
        script = self._scripts[min(len(self.began_ms), len(self._scripts) - 1)]
        self.began_ms.append(self.clock.now_ns() // MS)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield from script(self)
        finally:
            self.open -= 1

    def shot(
        self, *, coding: Coding = H264, width: int = 64, changed: str = "", same: bool = False
    ):
        self.seen += not same
        picture = BgrPicture(np.full((48, width, 3), self.seen % 256, np.uint8))
        now_ns = self.clock.now_ns()
        return Shot(picture, coding, now_ns, now_ns + 10**15, changed=changed)


def gives(count: int, **kind: object) -> Script:
    """A picture every 100 ms, then the end."""

    def script(camera: Camera) -> Iterator[Shot | None]:
        for _ in range(count):
            camera.clock.advance(0.1)
            yield camera.shot(**kind)

    return script


def silent(seconds: float) -> Script:
    def script(camera: Camera) -> Iterator[None]:
        for _ in range(round(seconds * 10)):
            camera.clock.advance(0.1)
            yield None

    return script


def refused(camera: Camera) -> Iterator[Shot | None]:
    yield None
    raise SourceError("rtsp://***@cam/1: connection refused")


def then(*scripts: Script) -> Script:
    def script(camera: Camera) -> Iterator[Shot | None]:
        for each in scripts:
            yield from each(camera)

    return script


def played(*scripts: Script, **options: float) -> tuple[Camera, LiveSource]:
    clock = ManualClock(10**9)
    camera = Camera(clock, *scripts)
    return camera, LiveSource("cam", camera.connect, clock=clock, **options)


def taken(source: LiveSource, count: int) -> list[SourceFrame]:
    return list(islice(source.frames(), count))


def test_nothing_is_asked_before_the_first_frame_is() -> None:
    camera, source = played(gives(3))
    info = source.open()
    assert (info.live, info.width, info.codec) == (True, 0, "")
    assert camera.began_ms == []
    assert source.condition.state is SourceState.CONNECTING
    taken(source, 1)
    assert source.info is not None
    assert (source.info.width, source.info.codec, source.info.fps) == (64, "h264", 25.0)


def test_a_lost_camera_is_connected_to_again_and_time_goes_on() -> None:
    camera, source = played(gives(5), refused, refused, gives(5))
    frames = taken(source, 10)
    assert [f.index for f in frames] == list(range(10))
    assert [f.epoch for f in frames] == [0] * 5 + [1] * 5
    assert camera.most_open == 1
    first_ms = camera.began_ms[0] + 100
    assert [f.pts_ns // MS for f in frames] == [
        *range(0, 500, 100),
        *(camera.began_ms[-1] + 100 * step - first_ms for step in range(1, 6)),
    ]
    condition = source.condition
    assert (condition.state, condition.sessions) == (SourceState.LIVE, 2)
    assert condition.last_error == "rtsp://***@cam/1: connection refused"
    assert source.faults == {"connection_lost": 1}


def test_attempts_come_apart_up_to_the_limit_for_ever() -> None:
    camera, source = played(*[refused] * 40, gives(1), retry_s=2.0)
    taken(source, 1)
    pauses_ms = np.diff(camera.began_ms[:41])
    assert pauses_ms[0] <= 100
    assert (pauses_ms[10:] >= 1000).all()
    assert (pauses_ms <= 2000).all()
    assert source.condition.sessions == 1


def test_an_attempt_that_took_long_is_followed_at_once() -> None:
    camera, source = played(*[silent(3.0)] * 8, gives(1))
    taken(source, 1)
    assert (np.diff(camera.began_ms) <= 3100).all()


def test_a_camera_that_was_well_is_asked_again_at_once() -> None:
    camera, source = played(*[refused] * 10, gives(50), gives(5))
    taken(source, 51)
    assert camera.began_ms[-1] - camera.began_ms[-2] - 5000 <= 100


def test_a_camera_that_flaps_is_not_asked_ever_faster() -> None:
    camera, source = played(gives(1))
    taken(source, 30)
    assert (np.diff(camera.began_ms)[10:] >= 1000).all()


@pytest.mark.parametrize(
    ("scripts", "state"),
    [
        ([then(gives(3), silent(5.0))], SourceState.STALLED),
        ([gives(3), refused], SourceState.RETRYING),
    ],
)
def test_silence_is_told_again_and_again(scripts: list[Script], state: SourceState) -> None:
    _, source = played(*scripts, stall_s=2.0)
    frames = source.frames()
    last = [next(frames) for _ in range(3)][-1]
    for earliest_s in (1.8, 3.6):
        frame = next(frames)
        assert frame.picture is last.picture
        silent_s = float(frame.stalled.removeprefix("no picture for ").removesuffix(" s"))
        assert earliest_s <= silent_s <= earliest_s / 1.8 * 2
        assert frame.pts_ns - last.pts_ns == pytest.approx(silent_s * 1e9, abs=51 * MS)
        assert source.condition.state is state
    assert source.faults.get("stalled", 0) == (state is SourceState.STALLED)


def test_a_camera_that_never_came_gives_nothing_and_stays_connecting() -> None:
    def leave(camera: Camera) -> Iterator[None]:
        assert source.condition.state is SourceState.CONNECTING
        source.interrupt()
        yield None

    _, source = played(then(silent(60.0), leave))
    assert list(source.frames()) == []
    assert source.condition.sessions == 0


def test_frozen_pictures_go_on() -> None:
    camera, source = played(then(gives(5), gives(40, same=True), gives(3)), freeze_s=2.0)
    states = [source.condition.state for _ in islice(source.frames(), 48)]
    assert len(states) == 48
    frozen = [i for i, state in enumerate(states) if state is SourceState.FROZEN]
    assert frozen == list(range(frozen[0], 45))
    assert 23 <= frozen[0] <= 25
    assert source.faults == {"frozen": 1}
    assert len(camera.began_ms) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"width": 32}, "size_changed"),
        ({"coding": Coding("hevc", "pyav hevc")}, "codec_changed"),
        ({"changed": "parameters_changed"}, "parameters_changed"),
    ],
)
def test_what_changes_begins_an_epoch(change: dict, fault: str) -> None:
    _, source = played(then(gives(3), gives(1, **change)))
    frames = taken(source, 4)
    assert [f.epoch for f in frames] == [0, 0, 0, 1]
    assert source.faults == {fault: 1}
    assert source.info is not None
    assert source.info.width == change.get("width", 64)


@pytest.mark.parametrize("script", [silent(100.0), refused, gives(1000)])
def test_interrupt_ends_it_and_closes_the_connection(script: Script) -> None:
    camera, source = played(then(gives(1), script), script)
    frames = source.frames()
    next(frames)
    source.interrupt()
    began_ms = camera.clock.now_ns() // MS
    assert len(list(frames)) <= 1
    assert camera.clock.now_ns() // MS - began_ms <= 200
    assert camera.open == 0
    source.close()

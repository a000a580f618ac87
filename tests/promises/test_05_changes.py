"""Promise 5: what may change in a stream is survived, re-anchored, counted, and begins an epoch.

Injected: another resolution and other parameter sets in band, another codec, a clock that jumps
forward or backward, that passes 2^32, that stands still, packets without markers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.promises.harness import Json, Site
from tests.rtsp.camera import Camera
from tests.rtsp.clip import Clip, encode


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a camera, and what is to be seen of it.

    Attributes:
        act: makes it happen.
        epochs: how many begin.
        fault: what is counted; empty: nothing.
        size: of the pictures behind it.
        clip: in front of it; None: the usual one.
    """

    act: Callable[[Camera], None]
    epochs: int
    fault: str
    size: tuple[int, int] = (320, 240)
    clip: Clip | None = None


def resize(camera: Camera) -> None:
    camera.change(encode(width=640, height=480, fps=15, gop=15, count=90))


def set_anew(camera: Camera) -> None:
    """Other parameter sets (of another frame rate), the same size."""
    camera.change(encode(fps=12, gop=12, count=36))


def recode(camera: Camera) -> None:
    camera.change(encode("h265", fps=15, gop=15, count=90))


def leap(camera: Camera) -> None:
    camera.jump(100)


def fall_back(camera: Camera) -> None:
    camera.jump(-100)


def stop_the_clock(camera: Camera) -> None:
    camera.faults.clock_stopped = True


def leave_out_markers(camera: Camera) -> None:
    camera.faults.no_markers = True


def wrap(camera: Camera) -> None:
    """Jumps, and passes 2^32 a second later: that must not be a second jump."""
    camera.wrap_in(1)


CHANGES = {
    "resized": Change(resize, 1, "size_changed", (640, 480)),
    "reset": Change(set_anew, 1, "parameters_changed"),
    "recoded": Change(recode, 1, "codec_changed"),
    "ahead": Change(leap, 1, "pts_jumped"),
    "behind": Change(fall_back, 1, "pts_restarted"),
    "wrapped": Change(wrap, 1, ""),
    "stopped": Change(stop_the_clock, 0, "pts_repeated"),
    "unmarked": Change(leave_out_markers, 0, ""),
    "unmarked-jpeg": Change(leave_out_markers, 0, "", clip=encode("mjpeg", fps=15, count=90)),
}


def test_a_stream_may_change_in_any_way(site: Site) -> None:
    usual = encode(fps=15, gop=15, count=90)
    cameras = {name: site.camera(change.clip or usual) for name, change in CHANGES.items()}
    daemon = site.watch({n: c.url for n, c in cameras.items()})
    for name in cameras:
        site.messages.wait_for(name, such_that=lambda body: bool(body["tracks"]))
    time.sleep(0.3)
    changed_s = time.monotonic()
    for name, change in CHANGES.items():
        change.act(cameras[name])
    time.sleep(3)
    assert cameras["wrapped"].stream.timestamp < 1 << 31  # it did pass 2^32
    came = {name: site.messages.of(name) for name in cameras}
    faults = {camera["id"]: camera["faults"] for camera in daemon.stop()["cameras"]}
    assert all(camera.most_connections == 1 for camera in cameras.values())
    for name, change in CHANGES.items():
        before = [message.body for message in came[name] if message.at_s < changed_s]
        after = [message.body for message in came[name] if message.at_s > changed_s]
        assert_survived(name, change, before, after, faults[name])


def assert_survived(
    name: str, change: Change, before: list[Json], after: list[Json], faults: dict[str, int]
) -> None:
    assert len(after) > 20, name  # 3 s of 15 fps, or what is left where the codec changed
    times = [body["pts_ns"] for body in before + after]
    assert all(earlier < later for earlier, later in pairwise(times)), name
    assert max(later - earlier for earlier, later in pairwise(times)) < 3e9, name
    assert after[-1]["epoch"] - before[-1]["epoch"] == change.epochs, (name, faults)
    assert (after[-1]["width"], after[-1]["height"]) == change.size, name
    last = after[-1]["tracks"]
    assert last, name
    assert last[0]["unseen_s"] == 0, name
    assert not change.fault or faults.get(change.fault, 0), (name, faults)

"""Promise 4: damaged pictures are marked until a clean key frame; nothing is decoded in silence.

Injected: lost and corrupted RTP packets, over TCP and UDP. What a camera with this clip can send is
known, so each picture that is not marked is compared, bit by bit, with those of a clean run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.media.source import SourceFrame
from pipeline.media.sources import SourceOptions, open_source
from tests.promises.harness import Json, Site
from tests.rtsp.camera import Camera, Faults
from tests.rtsp.clip import Codec, encode

#: Frames, each with its picture's fingerprint.
Prints = list[tuple[SourceFrame, str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What came before, while and after packets were lost."""

    packets_lost: int
    clean: Prints
    lossy: Prints
    after: Prints


@contextmanager
def frames_of(camera: Camera, **options: Any) -> Iterator[Iterator[SourceFrame]]:
    source = open_source(camera.url, SourceOptions(**options))
    try:
        source.open()
        yield source.frames()
    finally:
        source.interrupt()
        source.close()


def taken(frames: Iterator[SourceFrame], seconds: float) -> Prints:
    """What comes in so many seconds, with a picture's fingerprint."""
    end_s, found = time.monotonic() + seconds, []
    while time.monotonic() < end_s:
        frame = next(frames)
        if not frame.stalled:
            found.append((frame, hashlib.sha1(frame.picture.bgr().tobytes()).hexdigest()))
    return found


def measured(codec: Codec, transport: str) -> Seen:
    """What comes from a camera whose packets are lost for a while."""
    with (
        Camera(encode(codec, count=40, gop=10)) as camera,
        frames_of(camera, transport=transport) as frames,
    ):
        camera.faults = Faults(speed=2)
        next(frames)
        clean = taken(frames, 1.2)  # the loop takes 0.8 s
        camera.faults = Faults(loss=0.05, speed=2)
        lossy = taken(frames, 2)
        camera.faults = Faults(speed=2)
        taken(frames, 0.5)  # a group of pictures takes 0.2 s
        after = taken(frames, 0.5)
    return Seen(camera.lost_packets, clean, lossy, after)


def test_no_damaged_picture_passes_for_a_whole_one(
    record_property: Callable[[str, object], None],
) -> None:
    cases: list[tuple[Codec, str]] = [
        ("h264", "udp"), ("h264", "tcp"), ("h265", "udp"), ("mjpeg", "tcp"),
    ]  # fmt: skip
    with ThreadPoolExecutor(len(cases)) as pool:
        found = list(pool.map(measured, *zip(*cases, strict=True)))
    for case, seen in zip(cases, found, strict=True):
        whole = {print_ for frame, print_ in seen.clean if not frame.damaged}
        marked = [frame for frame, _ in seen.lossy if frame.damaged]
        silent = [f for f, print_ in seen.lossy if not f.damaged and print_ not in whole]
        record_property("-".join(case), f"{seen.packets_lost} lost, {len(marked)} marked")
        assert len(whole) == 40, case
        assert seen.packets_lost > 5, case
        assert marked, case
        assert not silent, case
        assert seen.after, case
        assert not [frame for frame, _ in seen.after if frame.damaged], case


def test_tracks_coast_over_damage(site: Site) -> None:
    clip = encode(gop=10)
    lossy, corrupt = site.camera(clip), site.camera(clip)
    uris: dict[str, str | Json] = {
        "lossy": lossy.url,
        "corrupt": {"uri": corrupt.url, "transport": "udp"},
    }
    daemon = site.watch(uris)
    for name in uris:
        site.messages.wait_for(
            name, such_that=lambda body: any(track["age_s"] > 0.5 for track in body["tracks"])
        )
    lossy.faults.loss, corrupt.faults.corruption = 0.1, 0.3
    time.sleep(1.5)
    healed_s = time.monotonic()
    lossy.faults, corrupt.faults = Faults(), Faults()
    time.sleep(1)  # a group of pictures takes 0.4 s
    for name in uris:
        damaged = site.messages.of(name, status="damaged")
        assert damaged
        assert all(message.body["reason"] for message in damaged)
        predicted = [track for m in damaged for track in m.body["tracks"] if track["unseen_s"] > 0]
        assert predicted
        last = site.messages.of(name, after_s=healed_s)[-10:]
        assert [message.body["status"] for message in last] == ["ok"] * 10
    daemon.stop()

"""Promise 7: the time of capture by the camera's own clock where it tells it, with its source.

Injected: a clock that is an hour behind and is set while it runs, and a camera that says nothing.
"""

from __future__ import annotations

import time

from tests.promises.harness import Json, Message, Site
from tests.rtsp.clip import encode

HOUR_S = 3600.0


def error_s(message: Message, offset_s: float) -> float:
    """How far a message's time is from its arrival by a clock that is so much ahead of ours."""
    came_s = time.time() - time.monotonic() + message.at_s + offset_s
    told_s: float = message.body["utc_ns"] / 1e9
    return abs(told_s - came_s)


def test_the_time_of_capture_is_the_cameras(site: Site) -> None:
    clip, offset_s = encode(fps=15, gop=15, count=90), [-HOUR_S]
    mute = site.camera(clip)
    mute.faults.no_reports = True
    uris: dict[str, Json] = {"mute": {"uri": mute.url}}
    for way in ("tcp", "udp"):
        camera = site.camera(clip, wall_clock=lambda: time.time() + offset_s[0])
        uris[way] = {"uri": camera.url, "transport": way}
    daemon = site.watch(uris)
    told_s = {way: site.messages.wait_for(way, utc_source="rtcp").at_s for way in ("tcp", "udp")}
    time.sleep(1.2)  # until the next report, and on
    set_s = time.monotonic()
    offset_s[0] = +HOUR_S  # somebody set the clock
    errors_s = []
    for way, since_s in told_s.items():
        ahead = site.messages.wait_for(
            way, after_s=set_s, such_that=lambda body: body["utc_ns"] > time.time_ns() + 1e9
        )
        came = site.messages.of(way, after_s=since_s)
        errors_s += [error_s(m, -HOUR_S) for m in came if m.at_s < set_s]
        errors_s += [error_s(m, +HOUR_S) for m in came if m.at_s >= ahead.at_s]
    site.record("utc_error_ms_worst", round(max(errors_s) * 1000))
    assert max(errors_s) < 0.5  # of two hours; what it takes from capture to us is in it
    silent = site.messages.of("mute")
    assert {message.body["utc_source"] for message in silent} == {"host"}
    assert max(error_s(message, 0) for message in silent) < 0.5
    daemon.stop()

"""Promise 2: silence is told within `stall_s`, a frozen picture without losing the connection.

Injected: no packets over an open connection; the same picture again and again.
"""

from __future__ import annotations

import statistics
import time

from tests.promises.harness import Json, Site
from tests.rtsp.camera import Faults
from tests.rtsp.clip import encode

STALL_S = 2.0  # by default
FREEZE_S = 1.5


def test_silence_and_a_frozen_picture_are_told(site: Site) -> None:
    clip = encode(fps=15, gop=15, count=90)
    names = ("tcp-1", "tcp-2", "udp-1", "udp-2")
    silent = {name: site.camera(clip, seed=seed) for seed, name in enumerate(names)}
    frozen, still, well = site.camera(clip), site.camera(clip), site.camera(clip)
    still.faults.frozen = True
    uris: dict[str, str | Json] = {
        "frozen": {"uri": frozen.url, "freeze_s": FREEZE_S},
        "still": {"uri": still.url, "freeze_s": 0.0},
        "well": well.url,
    }
    for name, camera in silent.items():
        uris[name] = {"uri": camera.url, "transport": name[:3]}
    daemon = site.watch(uris)
    for name in uris.keys() - {"still"}:  # tracked for long enough to be worth predicting
        site.messages.wait_for(
            name, such_that=lambda body: any(track["age_s"] > 0.5 for track in body["tracks"])
        )
    for camera in silent.values():
        camera.faults.stalled = True
    frozen.faults.frozen = True
    told_s = []
    for name, camera in silent.items():
        stalled = site.messages.wait_for(name, after_s=camera.last_packet_s, status="stalled")
        told_s.append(stalled.at_s - camera.last_packet_s)
        assert stalled.body["reason"]
        assert all(track["unseen_s"] > 0 for track in stalled.body["tracks"])
    daemon.wait_for("camera frozen", such_that=lambda line: line["camera"] == "frozen")
    healed_s = time.monotonic()
    for camera in (*silent.values(), frozen):
        camera.faults = Faults()
    for name in silent:
        site.messages.wait_for(name, after_s=healed_s, status="ok")
    daemon.wait_for("camera back", such_that=lambda line: line["camera"] == "frozen")
    site.record("told_s_median", round(statistics.median(told_s), 2))
    site.record("told_s_worst", round(max(told_s), 2))
    assert max(told_s) <= STALL_S
    assert not site.messages.of("well", status="stalled")
    faults = {camera["id"]: camera["faults"] for camera in daemon.stop()["cameras"]}
    for name, camera in silent.items():
        assert faults[name]["stalled"] == 1
        assert camera.connections_ever == 1  # so short a silence is no reason to connect again
    assert faults["frozen"]["frozen"] == 1
    assert not faults["frozen"].keys() & {"stalled", "connection_lost"}
    assert "frozen" not in faults["still"]  # 0 s: nobody wants to know
    assert frozen.connections_ever == still.connections_ever == well.connections_ever == 1

"""Promise 11: a hung or crashed engine or decoder takes down only itself, and is started anew.

Injected: SIGKILL, SIGSEGV and SIGSTOP to the process of a camera's decoder and of an engine.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.promises.harness import Messages, Running, Site, eventually
from tests.rtsp.clip import encode

#: From the fault to the next result: a hang has to be noticed first.
BACK_S = {signal.SIGKILL: 3.0, signal.SIGSEGV: 3.0, signal.SIGSTOP: 6.0}


def processes(daemon: Running, module: str) -> list[int]:
    """Ids of the daemon's children that run a module."""
    return [process.pid for process in daemon.processes() if module in process.cmdline()]


def restart_of(report: dict[str, Any], what: str) -> dict[str, Any]:
    found = [restart for restart in report["restarts"] if restart["what"] == what]
    assert len(found) == 1, report["restarts"]
    return dict(found[0])


def require_reason(restart: dict[str, Any], fault: signal.Signals, hang: str) -> None:
    told = hang if fault == signal.SIGSTOP else f"killed by {fault.name}"
    assert told in restart["reason"]
    assert restart["count"] == 1
    assert restart["utc_ns"] > 1_700_000_000_000_000_000


@pytest.mark.parametrize("fault", [signal.SIGSEGV, signal.SIGSTOP])
def test_a_decoder_that_dies_or_hangs_takes_down_its_camera_only(
    site: Site, fault: signal.Signals
) -> None:
    clip = encode(fps=15, gop=15, count=90)
    cameras = {name: site.camera(clip, seed=seed) for seed, name in enumerate(("hit", "well"))}
    uris: dict[str, Any] = {name: camera.url for name, camera in cameras.items()}
    uris["hit"] = {"uri": uris["hit"], "isolate": True}
    daemon = site.watch(uris)
    for name in cameras:
        site.messages.wait_for(name, timeout_s=30, status="ok")
    (pid,) = processes(daemon, "pipeline.media.isolated_child")

    hit_s = time.monotonic()
    os.kill(pid, fault)
    last_s = eventually(lambda: _quiet_since(site.messages, hit_s), 10, "the camera falls silent")
    back_s = site.messages.wait_for("hit", after_s=last_s, status="ok", timeout_s=20).at_s - hit_s
    assert pid not in processes(daemon, "pipeline.media.isolated_child")
    report = daemon.stop()

    site.record("back_s", round(back_s, 2))
    assert back_s <= BACK_S[fault]
    sequence = [message.body["sequence"] for message in site.messages.of("well")]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
    assert cameras["well"].connections_ever == 1
    assert cameras["hit"].most_connections == 1
    restart = restart_of(report, "decoder of hit")
    require_reason(restart, fault, "no sign of life for 3 s")
    (line,) = (camera for camera in report["cameras"] if camera["id"] == "hit")
    assert line["faults"]["decoder_restart"] == 1
    assert restart["reason"] in daemon.text


def _quiet_since(messages: Messages, hit_s: float) -> float | None:
    """When the last picture came that was decoded before the fault; None while more may come."""
    last_s = max((m.at_s for m in messages.of("hit", status="ok")), default=hit_s)
    return max(last_s, hit_s) if time.monotonic() - last_s > 0.15 else None


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_an_engine_that_dies_or_hangs_costs_no_frame(site: Site, fault: signal.Signals) -> None:
    camera = site.camera(encode(fps=15, gop=15, count=90))
    engines = {
        "first": {"backend": "onnxruntime", "timeout_s": 0.3, "retry_s": 0.2},
        "second": {"backend": "onnxruntime"},
    }
    stages = {"detect": {"model": str(site.detector), "workers": 1, "engine": ["first", "second"]}}
    daemon = site.watch({"gate": camera.url}, engines=engines, stages=stages)
    site.messages.wait_for("gate", timeout_s=30, engine="first", status="ok")
    (pid,) = processes(daemon, "engines.isolation.child")

    hit_s = time.monotonic()
    os.kill(pid, fault)
    instead = site.messages.wait_for("gate", after_s=hit_s, engine="second")
    back = site.messages.wait_for("gate", after_s=instead.at_s, engine="first")
    site.messages.wait_for("gate", after_s=back.at_s + 0.5)
    report = daemon.stop()

    site.record("back_s", round(back.at_s - hit_s, 2))
    came = site.messages.of("gate")
    sequence = [message.body["sequence"] for message in came]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
    assert not site.messages.of("gate", status="blind")
    assert camera.connections_ever == 1
    restart = restart_of(report, "engine first of detect")
    require_reason(restart, fault, "no answer to forward() within 0.3 s")
    (detect,) = (stage for stage in report["stages"] if stage["name"] == "detect")
    assert detect["blind"] == 0
    assert detect["counts"]["first failed"] == 1

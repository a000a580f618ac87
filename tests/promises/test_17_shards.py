"""Promise 17: cameras are spread over processes; one that dies costs the others nothing.

Injected: SIGKILL to the process that has half of the cameras; SIGSTOP, so that it hangs. That
results do not depend on the spreading is shown by tests/sharding/test_deployment.py.
"""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import psutil
import pytest

from tests.promises.harness import Messages, Running, Site, eventually
from tests.rtsp.clip import encode

BACK_S = 3.0
MAX_AGE_MS = 500  # by default


def shards(daemon: Running) -> list[psutil.Process]:
    """The processes that have cameras, oldest first; behind them the one that stands by."""
    ours = [p for p in daemon.processes() if "pipeline.sharding.child" in p.cmdline()]
    return sorted(ours, key=lambda process: process.create_time())


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_a_dead_process_is_back_and_the_others_never_notice(site: Site) -> None:
    clip = encode(fps=15, gop=5, count=90)
    cameras = {name: site.camera(clip, seed=seed) for seed, name in enumerate("abcd")}
    uris = {name: camera.url for name, camera in cameras.items()}
    daemon = site.watch(uris, run={"shards": 2, "drain_s": 2})
    for name in cameras:
        site.messages.wait_for(name, timeout_s=30, status="ok")

    for fault, hit, others in ((signal.SIGKILL, "ac", "bd"), (signal.SIGSTOP, "bd", "ac")):
        eventually(lambda: len(shards(daemon)) == 3, 30, "a process that stands by")
        time.sleep(2.0)  # until it has imported everything, and there is much to compare with
        hit_s = time.monotonic()
        os.kill(shards(daemon)[0].pid, fault)
        quiet_s = hit_s + 0.3  # what was on its way has come
        back = [site.messages.wait_for(name, after_s=quiet_s, status="ok").at_s for name in hit]
        site.record(f"back_s_after_{fault.name}", [round(at_s - hit_s, 2) for at_s in back])
        assert max(back) - hit_s <= BACK_S
        for name in others:
            before = _ages_ms(site.messages, name, hit_s - 1.5, hit_s)
            behind = _ages_ms(site.messages, name, hit_s, max(back))
            p95 = [round(float(np.quantile(ages, 0.95)), 1) for ages in (before, behind)]
            site.record(f"age_p95_ms_of_{name}_before_and_behind_{fault.name}", p95)
            assert max(behind) <= MAX_AGE_MS
            _require_no_gap(site.messages, name, hit_s - 1.5, max(back))
        assert [cameras[name].most_connections for name in others] == [1, 1]

    time.sleep(0.5)
    report = daemon.stop()
    killed, hung = sorted(report["restarts"], key=lambda restart: restart["what"])
    assert [(r["what"], r["count"]) for r in (killed, hung)] == [("shard 0", 1), ("shard 1", 1)]
    assert "killed by SIGKILL" in killed["reason"]
    assert "no sign of life for 1.5 s" in hung["reason"]
    for restart in (killed, hung):
        assert any(restart["reason"] in line["event"] for line in daemon.log)


def _ages_ms(messages: Messages, camera: str, from_s: float, to_s: float) -> list[float]:
    """How old a camera's results were that came in a span of time."""
    return [m.body["age_ms"] for m in messages.of(camera, after_s=from_s) if m.at_s <= to_s]


def _require_no_gap(messages: Messages, camera: str, from_s: float, to_s: float) -> None:
    came = [m.body for m in messages.of(camera, after_s=from_s) if m.at_s <= to_s]
    first = came[0]
    assert [body["sequence"] - first["sequence"] for body in came] == list(range(len(came)))
    assert {body["epoch"] for body in came} == {first["epoch"]}

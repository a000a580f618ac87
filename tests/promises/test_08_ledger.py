"""Promise 8: in = out + drops, whatever happens to the cameras and however the daemon ends.

Injected: all faults of cameras at once, then a drained end, an aborted one, or an engine's process
that is killed in between. (Behind every other test of a promise the ledger is looked at as well.)
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.promises.harness import Running, Site, eventually
from tests.rtsp.camera import Faults
from tests.rtsp.clip import encode

FAULTS = {
    "well": Faults(),
    "lossy": Faults(loss=0.1),
    "corrupt": Faults(corruption=0.2),
    "stalled": Faults(stalled=True),
    "frozen": Faults(frozen=True),
    "timeless": Faults(clock_stopped=True),
    "flooding": Faults(speed=8),
    "hung": Faults(hangs_at="DESCRIBE"),
    "slammed": Faults(slams=True),
    "babbling": Faults(nonsense=0.2),
}
DRAIN_S = 2


def drain(daemon: Running) -> None:
    daemon.stop()


def abort(daemon: Running) -> None:
    """The first signal drains, the second one ends at once."""
    daemon.expected_code = 130
    daemon.signal(signal.SIGSTOP)  # so that both are there before it looks
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGINT)
    daemon.signal(signal.SIGCONT)
    daemon.wait()
    daemon.stop()


def kill_the_engine(daemon: Running) -> None:
    engines = [p for p in daemon.processes() if "engines.isolation" in " ".join(p.cmdline())]
    assert engines
    for process in engines:
        process.kill()
    time.sleep(1)
    daemon.stop()


@pytest.mark.parametrize("end", [drain, abort, kill_the_engine])
def test_every_frame_is_accounted_for(site: Site, end: Callable[[Running], None]) -> None:
    clip = encode(fps=15, gop=15, count=90)
    cameras = {name: site.camera(clip) for name in FAULTS}
    dead = site.camera(clip)
    dead.go_away()
    uris = {
        name: {"uri": camera.url, "stall_s": 0.5}
        for name, camera in (cameras | {"dead": dead}).items()
    }
    engine = {"backend": "onnxruntime", "threads": 1, "isolate": True}
    daemon = site.watch(uris, engines={"cpu0": engine}, run={"drain_s": DRAIN_S})
    for name in cameras:
        site.messages.wait_for(name)
    for name, faults in FAULTS.items():
        cameras[name].faults = faults
    for name in ("hung", "slammed"):
        cameras[name].disconnect()
    eventually(lambda: site.messages.of("stalled", status="stalled"), what="a stall")
    end(daemon)
    accounts = daemon.report["ledger"]
    assert accounts.keys() >= cameras.keys()
    assert all(accounts[name]["emitted"] for name in cameras)
    assert all(camera.most_connections == 1 for camera in cameras.values())

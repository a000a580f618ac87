"""Promise 10: the service manager hears READY when all is warm, and WATCHDOG only of progress."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.promises.harness import REPOSITORY, Site, eventually

WATCHDOG_S = 4.0
VIDEO = {"uri": str(REPOSITORY / "sample_videos/day.mp4"), "loop": True, "pace": "realtime"}
ISOLATED = {"cpu0": {"backend": "onnxruntime", "threads": 1, "isolate": True}}


class Manager:
    """The other end of sd_notify(3)."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(0.1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="manager", daemon=True)
        self.heard: list[tuple[float, str]] = []
        self._thread.start()

    def times(self, line: str) -> list[float]:
        """When the lines that begin so came."""
        return [at_s for at_s, told in list(self.heard) if told.startswith(line)]

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=10)
        self._socket.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            with suppress(TimeoutError):
                lines = self._socket.recv(4096).decode().splitlines()
                self.heard += [(time.monotonic(), line) for line in lines]


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    address = f"@sightline-{os.getpid()}" if request.param == "abstract" else f"{tmp_path}/notify"
    listening = Manager(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", str(round(WATCHDOG_S * 1e6)))
    yield listening
    listening.close()


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_alive_is_said_only_while_every_stage_makes_progress(site: Site, manager: Manager) -> None:
    daemon = site.watch({"gate": VIDEO}, engines=ISOLATED)
    eventually(lambda: len(manager.times("WATCHDOG=1")) >= 4, 30, "alive")
    (engine,) = (p for p in daemon.processes()[1:] if "engines.isolation" in " ".join(p.cmdline()))
    engine.send_signal(signal.SIGSTOP)
    stopped_s = time.monotonic()
    raised = daemon.wait_for("alarm raised", such_that=lambda line: line["kind"] == "hung")
    assert raised["where"] in ("preprocess", "detect")
    time.sleep(WATCHDOG_S)
    last_s = manager.times("WATCHDOG=1")[-1] - stopped_s
    site.record("last_alive_s", round(last_s, 2))
    assert last_s <= WATCHDOG_S, "the manager would not have noticed"
    assert time.monotonic() - stopped_s - last_s >= WATCHDOG_S  # it ends the process now
    engine.send_signal(signal.SIGCONT)
    known = len(manager.times("WATCHDOG=1"))
    eventually(lambda: len(manager.times("WATCHDOG=1")) > known, what="alive again")
    daemon.wait_for("alarm cleared", such_that=lambda line: line["kind"] == "hung")


def test_ready_comes_when_all_is_warm_and_stopping_when_it_ends(
    site: Site, manager: Manager
) -> None:
    # The address is one that nobody answers at: a camera need not be there.
    cameras = {"gate": VIDEO, "yard": "rtsp://127.0.0.1:9/stream"}
    daemon = site.watch(cameras)
    eventually(lambda: manager.times("READY=1"), 30, "ready")
    assert daemon.log[0]["event"] == "start"
    ready = daemon.wait_for("ready")
    assert "cpu0 (onnxruntime/cpu/fp32)" in ready["stages"]["detect"]
    eventually(lambda: manager.times("STATUS=1 of 2 cameras live, "), 30, "who is there")
    daemon.stop()
    words = [line for _, line in manager.heard]
    assert words.count("READY=1") == 1
    assert words.index("READY=1") <= words.index("WATCHDOG=1") < words.index("STOPPING=1")
    assert words[-2:] == ["STOPPING=1", "STATUS=stopping"]


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_children_do_not_speak_for_it(site: Site, manager: Manager) -> None:
    daemon = site.watch({"gate": VIDEO}, engines=ISOLATED)
    eventually(lambda: manager.times("READY=1"), 30, "ready")
    for child in daemon.processes()[1:]:
        with suppress(psutil.NoSuchProcess):
            assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(child.environ())


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_reloading_is_said_until_it_is_done_whatever_becomes_of_it(
    site: Site, manager: Manager
) -> None:
    daemon = site.watch({"gate": VIDEO})
    eventually(lambda: manager.times("READY=1"), 30, "ready")
    daemon.wait_for("ready")
    text = daemon.config.read_text()
    changed = text.replace("pace: realtime", "pace: realtime\n  max_fps: 5")
    for wanted, applied in ((changed, True), (text.replace("loop: true", "loop: 3"), False)):
        known = len(manager.heard)
        daemon.config.write_text(wanted)
        daemon.signal(signal.SIGHUP)
        line = daemon.wait_for(
            "reload", such_that=lambda line, applied=applied: line["applied"] is applied
        )
        assert applied or "daemon.yaml:4:9: cameras[0].loop: expected true or false" in line["why"]
        eventually(lambda at=known: "READY=1" in [told for _, told in manager.heard[at:]])
        words = [told for _, told in manager.heard[known:]]
        (begun,) = (at for at, word in enumerate(words) if word == "RELOADING=1")
        assert words[begun + 1].startswith("MONOTONIC_USEC=")
        assert words.index("READY=1") > begun

"""``kill -9`` and a new start: the objects of a still scene keep their identities."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from pipeline.clock import SystemClock
from pipeline.packet import FrameInfo
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.warm_restart import Keeper, Keeping
from pipeline.world import World


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(60)
        yield bound


@pytest.fixture
def deployment(tmp_path: Path, receiver: socket.socket) -> Path:
    """A crowd that stands still before a noisy camera, and what is to be run on it."""
    still = World("crowd", seed=3).render(100).image_bgr.astype(np.int16)
    (tmp_path / "still").mkdir()
    for k in range(8):
        noise = np.random.default_rng(k).normal(0, 4, still.shape)
        picture = np.clip(still + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "still" / f"{k}.png"), picture)
    camera = {"id": "gate", "uri": "dir:still", "fps": 15, "loop": True, "pace": "realtime"}
    udp = {"to": f"127.0.0.1:{receiver.getsockname()[1]}", "format": "json", "mtu": 65535}
    track = {"state": "state", "state_every_s": 0.5}
    config = {
        "cameras": [camera],
        "engines": {"cpu0": {"backend": "onnxruntime", "threads": 1}},
        "stages": {"detect": {"model": "street-pico", "workers": 1}, "track": track},
        "outputs": [{"udp": udp}],
    }
    path = tmp_path / "still.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def running(deployment: Path) -> Iterator[subprocess.Popen[str]]:
    """``sightline run`` in a process that is killed at the end of the block."""
    command = [sys.executable, "-m", "pipeline.cli.main", "run", str(deployment), "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        command, cwd=deployment.parent, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def identities(receiver: socket.socket, frames: int) -> list[set[int]]:
    """The ids in each of the next frames."""
    messages = [json.loads(receiver.recv(65535)) for _ in range(frames)]
    return [{track["id"] for track in message["tracks"]} for message in messages]


def test_identities_survive_kill_9(deployment: Path, receiver: socket.socket) -> None:
    with running(deployment):
        before = set.union(*identities(receiver, 24)[-4:])
    while select.select([receiver], [], [], 0.2)[0]:  # what the first run sent to the end
        receiver.recv(65535)
    with running(deployment):
        after = set.union(*identities(receiver, 4))
    assert len(before) >= 20
    assert len(before & after) >= 0.95 * len(before)
    assert all(new > max(before) for new in after - before)


def test_a_second_run_on_the_same_folder_is_refused(sightline: Any, street: Path) -> None:
    keeping = Keeping(Path("state"), every_s=1.0, within_s=60.0, made_by="")
    other = Keeper(keeping, Tracker(), FrameInfo("gate", 0, 0, 0, 48, 32), SystemClock())
    result = sightline("run", street, "--set", "stages.track.state=state")
    other.close()
    assert result.code != 0
    assert "another run keeps the tracks of the camera gate" in result.err
    assert sightline("run", street, "--set", "stages.track.state=state").code == 0
    assert Path("state/gate.npz").exists()


def test_only_the_same_tracker_goes_on(
    sightline: Any, street: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def run(*changes: str) -> str:
        caplog.clear()
        sets = [part for change in changes for part in ("--set", change)]
        assert sightline("run", street, "--set", "stages.track.state=state", *sets).code == 0
        return caplog.text

    assert run() == ""
    assert run("stages.detect.workers=1", "stages.track.state_every_s=2.0") == ""
    assert "gate starts without tracks" in run("stages.track.max_lost_s=3.0")
    assert run("stages.track.max_lost_s=3.0") == ""
    assert "gate starts without tracks" in run("stages.postprocess.classes=[person]")

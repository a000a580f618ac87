"""Promise 12: on a full disk recording pauses, analytics goes on with every frame, and it resumes.

Injected: a file system of 1 MB that is filled by somebody else, and emptied again; a limit on the
size of files, which every machine can have; SIGKILL while a video is written is in promise 9.
"""

from __future__ import annotations

import json
import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from tests.output.full import fill, small_disk
from tests.promises.harness import Messages, Running, Site, eventually
from tests.rtsp.clip import encode


def check_recordings(folder: Path) -> tuple[int, int]:
    """Every file is valid; gives how many frames the lines have, and how many are missing there."""
    assert not list(folder.glob("*.part"))
    for path in folder.glob("*.mp4"):
        with av.open(str(path)) as video:
            assert sum(1 for _ in video.decode(video=0)) > 0
    lines = [json.loads(line) for line in (folder / "a.jsonl").read_text().splitlines()]
    frames = [line["frame"] for line in lines]
    beside = json.loads((folder / "a.jsonl.missing").read_text())
    skipped = sum(after - before - 1 for before, after in pairwise(frames))
    assert skipped == beside["missing_frames"]
    return len(frames), skipped


def ride_out(daemon: Running, messages: Messages, fill_disk: Any, empty_disk: Any) -> Any:
    """Fills the disk under a daemon and empties it; gives its report."""
    before = messages.wait_for("gate", such_that=lambda body: body["tracks"])
    fill_disk()
    full = daemon.wait_for("", such_that=lambda line: "disk full" in line.get("event", ""))
    messages.wait_for("gate", such_that=lambda body: body["frame"] > before.body["frame"] + 30)
    empty_disk()
    daemon.wait_for("", such_that=lambda line: "a.jsonl: there is room" in line.get("event", ""))
    resumed = len(messages.of("gate"))
    eventually(lambda: len(messages.of("gate")) > resumed + 10)
    assert full["level"] == "warning"
    return daemon.stop()


def check(report: Any, messages: Messages, folder: Path) -> None:
    frames, missing = check_recordings(folder)
    emitted = report["ledger"]["gate"]["emitted"]
    sequences = [message.body["sequence"] for message in messages.of("gate")]
    assert sequences == list(range(emitted + 1))  # not one frame less, and the last message
    assert frames + missing == emitted
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert stages["file"]["dropped"] == {"disk_full": missing}
    assert stages["file"]["counts"] == {"missing": missing, "paused": 0}
    assert stages["annotate"]["counts"]["missing"] > 0
    assert stages["udp"]["dropped"] == {}


@pytest.mark.slow
def test_a_disk_of_1_mb(site: Site, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        outputs = [
            {"file": {"path": str(disk / "a.jsonl"), "min_free_mb": 0.05}},
            {"annotate": {"path": str(disk / "a-{start}.mp4"), "min_free_mb": 0, "rotate_s": 2}},
        ]
        camera = site.camera(encode(fps=15))
        daemon = site.watch({"gate": camera.url}, outputs=outputs)
        ballast = disk / "ballast"
        report = ride_out(daemon, site.messages, lambda: fill(disk), ballast.unlink)
        check(report, site.messages, disk)
        site.record("missing", (disk / "a.jsonl.missing").read_text())


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(site: Site) -> None:
    keys = {"min_free_mb": 0}
    outputs = [
        {"file": {"path": "out/a.jsonl"} | keys},
        {"annotate": {"path": "out/a-{start}.mp4"} | keys},
    ]
    camera = site.camera(encode(fps=15))
    daemon = site.watch({"gate": camera.url}, outputs=outputs)

    def limit(size: int) -> None:
        _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    report = ride_out(
        daemon, site.messages, lambda: limit(1000), lambda: limit(resource.RLIM_INFINITY)
    )
    check(report, site.messages, daemon.config.parent / "out")

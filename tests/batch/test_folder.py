"""The folder of a batch: claimed by one, complete or not there, and nothing foreign touched."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.folder import BatchFolder
from pipeline.errors import BatchError

CLIP = Clip("gate", "gate.mp4", sha256="1", segments=(Segment(0, 0, None),))


@pytest.fixture
def folder(tmp_path: Path) -> BatchFolder:
    out = BatchFolder(tmp_path / "out")
    out.path.mkdir()
    return out


def finish(folder: BatchFolder, name: str = "gate") -> None:
    """Makes the results of a clip."""
    folder.begin(replace(CLIP, name=name), "f")
    (folder.results(name) / "tracks.jsonl").write_text("{}\n")
    folder.finish(name, {"clip": name})


def test_a_second_run_is_refused_and_told_whose_it_is(folder: BatchFolder) -> None:
    refusal = pytest.raises(BatchError, match=f"another run \\(process {os.getpid()}\\)")
    with folder.claimed(), refusal, BatchFolder(folder.path).claimed():
        pass
    with folder.claimed():
        pass  # it was given back


def test_the_claim_of_a_killed_run_is_gone(folder: BatchFolder) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path\n"
        "from pipeline.batch.folder import BatchFolder\n"
        f"with BatchFolder(Path({str(folder.path)!r})).claimed(): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with folder.claimed():
        pass


def test_a_clip_is_complete_or_not_there(folder: BatchFolder) -> None:
    folder.begin(CLIP, "f")
    (folder.results("gate") / "tracks.jsonl").write_text("{}\n")
    assert folder.manifest("gate") == {}
    folder.finish("gate", {"clip": "gate"})
    assert folder.manifest("gate") == {"clip": "gate"}
    assert not folder.work("gate").exists()


def test_what_was_begun_stays_for_the_same_clip_and_the_same_configuration(
    folder: BatchFolder,
) -> None:
    def left(clip: Clip, fingerprint: str) -> bool:
        (folder.begin(CLIP, "f") / "000000.json").touch()
        return (folder.begin(clip, fingerprint) / "000000.json").exists()

    assert left(CLIP, "f")
    assert not left(CLIP, "another")
    assert not left(replace(CLIP, sha256="2"), "f")
    assert not left(replace(CLIP, segments=(Segment(0, 0, 5), Segment(1, 5, None))), "f")


def test_what_is_no_result_is_neither_taken_for_one_nor_removed(folder: BatchFolder) -> None:
    mine = folder.path / "gate"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(BatchError, match="no result of a batch; move it away"):
        folder.manifest("gate")
    finish(folder, "yard")
    folder.clear(["gate", "yard"])
    assert (mine / "letter.txt").read_text() == "dear"
    assert not (folder.path / "yard").exists()


def test_what_is_unfinished_of_others_is_tidied_away(folder: BatchFolder) -> None:
    folder.begin(CLIP, "f")
    folder.begin(replace(CLIP, name="yard"), "f")
    folder.tidy(["gate"])
    assert folder.work("gate").is_dir()
    assert not folder.work("yard").exists()


def test_a_damaged_file_is_named(folder: BatchFolder) -> None:
    (folder.path / "batch.json").write_text("{")
    with pytest.raises(BatchError, match=r"batch\.json: cannot be read.*remove it"):
        folder.read()

"""Rows of files, rotating, kept, and on a disk that is full."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import OutputError, PacketError
from pipeline.media.fragments import cut_to_fragments
from pipeline.media.writer import VideoWriter
from pipeline.output import room
from pipeline.output.files import LineFile
from pipeline.output.recorder import Recorder
from pipeline.output.spec import FileSpec
from pipeline.output.videofile import Shot, VideoFile
from tests.output.full import fill, largest_file, small_disk


@pytest.fixture(autouse=True)
def _tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.0)


def recorder(path: Path, **keys: Any) -> Recorder[str]:
    spec = FileSpec.model_validate({"path": str(path), "min_free_mb": 0} | keys)
    return Recorder(spec.path, spec, LineFile)


def video(path: Path, **keys: Any) -> Recorder[Shot]:
    said = {"path": str(path), "format": "csv", "min_free_mb": 0} | keys
    spec = FileSpec.model_validate(said)
    return Recorder(spec.path, spec, lambda path: VideoFile(path, crf=30, from_zero=True))


def shot(index: int) -> Shot:
    """Noise, which needs about 15 kB a picture; 25 a second."""
    noise = np.random.default_rng(index).integers(0, 255, (120, 160, 3), np.uint8)
    return noise, index * 40_000_000


def frames(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def told_missing(path: Path) -> int:
    beside = path.with_name(path.name + ".missing")
    return int(json.loads(beside.read_text())["missing_frames"]) if beside.exists() else 0


def test_a_full_disk_pauses_and_room_resumes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    recording = recorder(path)
    with largest_file(10):
        recording.write("1234\n")
        for _ in range(3):
            with pytest.raises(PacketError) as caught:
                recording.write("567890\n")
            assert caught.value.reason == "disk_full"
        assert recording.room.paused
    recording.write("abc\n")
    assert (recording.room.missing, recording.room.paused) == (3, False)
    recording.finish()
    assert path.read_text() == "1234\nabc\n"
    assert told_missing(path) == 3
    assert [record.message.split(": ", 1)[1] for record in caplog.records] == [
        "disk full, it pauses: no space left",
        "there is room again, it goes on",
    ]


def test_a_full_disk_is_not_tried_for_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RETRY_S", 3600.0)
    recording = recorder(tmp_path / "a.jsonl")
    with largest_file(10), pytest.raises(PacketError):
        recording.write("1234567890\n")
    with pytest.raises(PacketError, match="no space left"):
        recording.write("1\n")


def test_the_last_of_a_disk_is_left_to_others(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        recording = recorder(disk / "a.jsonl", min_free_mb=0.5)
        ballast = fill(disk, leave_kb=700)
        recording.write("x\n")
        fill(disk, leave_kb=300)
        with pytest.raises(PacketError, match=r"less than 0\.5 MB are free"):
            recording.write("y\n")
        os.truncate(ballast, ballast.stat().st_size - 200 * 1024)
        with pytest.raises(PacketError):  # a little more than what made it pause
            recording.write("y\n")
        ballast.unlink()
        recording.write("z\n")
        recording.finish()
        assert (disk / "a.jsonl").read_text() == "x\nz\n"
        assert told_missing(disk / "a.jsonl") == 2


def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", files=10) as disk:
        folders = [disk / str(number) for number in range(10)]
        with suppress(OSError):  # no place for the name of another file, either
            for folder in folders:
                folder.mkdir()
        recording = recorder(disk / "a.csv")
        recording.open()
        with pytest.raises(PacketError):
            recording.write("0\n")
        folders[0].rmdir()
        folders[1].rmdir()
        recording.write("1\n")
        recording.finish()
        assert (disk / "a.csv").read_text() == "1\n"
        assert told_missing(disk / "a.csv") == 1


def test_a_wrong_path_is_known_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="change the output's 'path'"):
        recorder(tmp_path / "file" / "a.csv").open()


def check_videos(folder: Path, written: int, refused: int) -> None:
    """Every picture is in a video that plays, or told as missing."""
    videos = sorted(folder.glob("*.mp4"))
    assert len(videos) >= 2
    assert not list(folder.glob("*.part"))
    missing = sum(told_missing(path) for path in videos)
    assert sum(len(frames(path)) for path in videos) + missing == written + refused
    assert missing >= refused > 0


def record_over_a_full_disk(recording: Recorder[Shot], full: Any) -> tuple[int, int]:
    """Records until pictures were refused and 30 more were taken; gives both counts."""
    written = refused = 0
    with full:
        while refused < 5:
            try:
                recording.write(shot(written + refused))
                written += 1
            except PacketError:
                refused += 1
    for _ in range(30):
        recording.write(shot(written + refused))
        written += 1
    assert recording.room.missing >= refused
    recording.finish()
    return written, refused


def test_a_video_is_cut_to_what_is_whole_and_another_follows(tmp_path: Path) -> None:
    recording = video(tmp_path / "a.mp4")
    written, refused = record_over_a_full_disk(recording, largest_file(600_000))
    check_videos(tmp_path, written, refused)


def test_a_video_on_a_disk_of_1_mb(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        ballast = fill(disk, leave_kb=600)
        recording = video(disk / "a-{start}.mp4")

        class Full:
            def __enter__(self) -> None: ...

            def __exit__(self, *_: object) -> None:
                ballast.unlink()

        written, refused = record_over_a_full_disk(recording, Full())
        check_videos(disk, written, refused)


@pytest.mark.parametrize("fps", [25, 4])
def test_a_killed_video_loses_about_a_second(tmp_path: Path, fps: int) -> None:
    path, copy = tmp_path / "a.mp4", tmp_path / "copy.mp4"
    writer = VideoWriter(path, 160, 120, 25)
    for index in range(20 * fps):
        writer.write(shot(index)[0], index * 1_000_000_000 // fps)
    shutil.copy(path, copy)  # what a kill would leave
    writer.close()
    assert cut_to_fragments(copy) == len(frames(copy))
    # A second of a fragment, and what the encoder looks ahead: 10 pictures.
    assert len(frames(copy)) >= 20 * fps - fps - 10 - 2


@pytest.mark.parametrize("data", [b"", b"\0" * 40, bytes(range(200)), b"\0\0\0\4mdat" * 9])
def test_what_has_no_whole_fragment_is_left_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.part"
    path.write_bytes(data)
    assert cut_to_fragments(path) == 0
    assert path.read_bytes() == b""


def test_a_new_file_begins_when_one_is_large(tmp_path: Path) -> None:
    recording = recorder(tmp_path / "gate-{start}.csv", rotate_mb=0.001)
    for _ in range(30):
        recording.write("x" * 99 + "\n")
    recording.finish()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert [path.stat().st_size for path in files] == [1000] * 3


def test_a_new_file_begins_when_one_is_old(tmp_path: Path) -> None:
    recording = video(tmp_path / "gate-{start}.mp4", rotate_s=3600)
    recording.write(shot(100))
    recording.write(shot(101))
    recording._series._began_s -= 3601
    recording.write(shot(102))
    recording.finish()
    files = sorted(tmp_path.iterdir())
    assert [frames(path) for path in files] == [pytest.approx([0, 0.04]), [0]]


def test_old_files_go_and_others_stay(tmp_path: Path) -> None:
    names = {
        "gate-20260101T000000.000Z.csv": 0,  # too old
        "gate-20260102T000000.000Z.csv.part": 0,  # of a killed run
        "gate-20260103T000000.000Z.csv": 1,
        "gate-20260103T000000.000Z.csv.txt": 0,  # not ours
        "yard-20260101T000000.000Z.csv": 0,
        "gate-notes.csv": 0,
    }
    for name, new in names.items():
        (tmp_path / name).write_text("old\n")
        if not new:
            os.utime(tmp_path / name, (0, 0))
    recording = recorder(tmp_path / "gate-{start}.csv", keep_h=24)
    recording.write("1\n")
    recording.finish()
    gone = {name for name in names if not (tmp_path / name).exists()}
    assert gone == set(list(names)[:2])


def test_no_more_than_is_to_be_kept_is(tmp_path: Path) -> None:
    for day in range(1, 6):
        (tmp_path / f"g-2026010{day}T000000.000Z.csv").write_bytes(bytes(400))
    recording = recorder(tmp_path / "g-{start}.csv", keep_mb=0.001)
    recording.write("1\n")
    recording.finish()
    assert [path.name[9:10] for path in sorted(tmp_path.iterdir())][:2] == ["4", "5"]
    assert len(list(tmp_path.iterdir())) == 3

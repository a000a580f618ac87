"""Which files of a folder are taken for videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.batch.sniffing import begins_as_video, is_video


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.flv", "a.webm"])
def test_videos_are_known_by_their_first_bytes(make_clip, name: str) -> None:
    codec = "libvpx" if name == "a.webm" else "libx264"
    path = make_clip(name, pts=[0, 40, 80], codec=codec)
    nameless = path.rename(path.with_name("recording.0001"))
    assert is_video(nameless)


OTHERS = {
    "notes.txt": b"hello\n" * 300,
    "nothing": b"",
    "types.ts": b"export type A = {\n  b: number\n}\n" * 40,
    "song.m4a": b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(900),
    "song": b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(900),
    "photo": b"\0\0\0\x20ftypheic\0\0\0\0" + bytes(900),
    "sound.wav": b"RIFF\0\0\0\0WAVEfmt " + bytes(900),
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(900),
    "gggg": b"G" * 100,
    "talk.ogg": b"OggS" + bytes(900),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_not_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(OTHERS[name])
    assert not is_video(path)


def test_a_broken_video_is_taken_by_its_name_so_that_it_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "broken.MP4"
    path.write_bytes(b"hello")
    assert is_video(path)


def test_a_file_that_is_not_there_is_no_video(tmp_path: Path) -> None:
    assert not is_video(tmp_path / "gone")


@pytest.mark.parametrize(
    "head",
    [
        (bytes(4) + b"\x47" + bytes(187)) * 5,  # a transport stream with time stamps
        b"\0\0\x01\xba" + bytes(900),
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(900),
        b"\0\0\0\x08wide" + bytes(900),
    ],
)
def test_first_bytes(head: bytes) -> None:
    assert begins_as_video(head)

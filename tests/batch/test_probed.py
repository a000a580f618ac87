"""What probing found is kept, as long as the file is the same."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.probed import Probed
from pipeline.media.place import Place


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    path = tmp_path / "gate.mp4"
    path.write_bytes(b"video")
    segments = Segment(0, 0, 5, 10), Segment(1, 5, None, None, Place(10, 10, 512, 0))
    return Clip("gate", str(path), "h264", 64, 48, 25.0, 20, 10, 5, "ab", segments, ("a note",))


def kept(folder: Path, clip: Clip, key: str = "k") -> Probed:
    """What the next run finds."""
    probed = Probed(folder / "probed.json", "k")
    probed.keep(clip)
    probed.save()
    return Probed(folder / "probed.json", key)


def test_a_clip_comes_back_as_it_was(tmp_path: Path, clip: Clip) -> None:
    assert kept(tmp_path, clip).get(clip.uri, "gate") == clip
    assert kept(tmp_path, clip).get(clip.uri, "yard") is None
    assert kept(tmp_path, clip).get("another.mp4", "gate") is None
    assert kept(tmp_path, clip, "another key").get(clip.uri, "gate") is None


def test_a_file_that_was_touched_is_probed_again(tmp_path: Path, clip: Clip) -> None:
    probed = kept(tmp_path, clip)
    before = Path(clip.uri).stat()
    Path(clip.uri).write_bytes(b"audio")
    os.utime(clip.uri, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert probed.get(clip.uri, "gate") is None


def test_what_failed_or_is_no_file_is_not_kept(tmp_path: Path, clip: Clip) -> None:
    failed, remote = replace(clip, error="why"), replace(clip, uri="http://a:b@c/d.mp4")
    assert kept(tmp_path, failed).get(clip.uri, "gate") is None
    assert kept(tmp_path, remote).get(remote.uri, "gate") is None
    assert "a:b" not in (tmp_path / "probed.json").read_text()


def test_a_damaged_file_is_as_none(tmp_path: Path, clip: Clip) -> None:
    kept(tmp_path, clip)
    (tmp_path / "probed.json").write_bytes(b"k\n{")
    assert Probed(tmp_path / "probed.json", "k").get(clip.uri, "gate") is None

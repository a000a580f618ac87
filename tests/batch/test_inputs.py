"""From what somebody writes to the list of videos."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import pytest

from pipeline.batch.inputs import expand
from pipeline.errors import SourceError

TS = (b"\x47" + bytes(187)) * 6


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that look like videos, and others, two folders deep; the working directory is there."""
    monkeypatch.chdir(tmp_path)
    for name in ("cam2/b10.ts", "cam2/b9.ts", "cam10/night/a.mp4", "cam1/a.mkv", "cam1/raw"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TS)
    (tmp_path / "videos/cam1/notes.txt").write_text("not a video")
    (tmp_path / "videos/cam1/.hidden.mp4").write_bytes(TS)
    (tmp_path / "videos/.trash").mkdir()
    (tmp_path / "videos/.trash/old.mp4").write_bytes(TS)
    return tmp_path


def uris(*inputs: str, stdin: str = "") -> list[str]:
    return [entry.uri for entry in expand(inputs, io.StringIO(stdin))]


ALL = ["cam1/a.mkv", "cam1/raw", "cam2/b9.ts", "cam2/b10.ts", "cam10/night/a.mp4"]


def test_a_folder_is_searched_in_natural_order(archive, caplog) -> None:
    with caplog.at_level(logging.DEBUG):
        assert uris("videos") == [f"videos/{name}" for name in ALL]
    assert "notes.txt: no video, left out" in caplog.text


def test_names_are_unique_and_readable(archive) -> None:
    found = {entry.uri: entry.name for entry in expand(["videos"])}
    assert found["videos/cam2/b9.ts"] == "b9"
    assert found["videos/cam1/a.mkv"] == "a.mkv"
    assert found["videos/cam10/night/a.mp4"] == "a.mp4"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("videos/*/b*.ts", ["videos/cam2/b9.ts", "videos/cam2/b10.ts"]),
        ("videos/**/*.mp4", ["videos/cam10/night/a.mp4"]),
        ("videos/cam?", [f"videos/{name}" for name in ALL[:4]]),
        ("videos/*/.h*.mp4", ["videos/cam1/.hidden.mp4"]),
        ("videos/*/*.*", [f"videos/{name}" for name in ALL[:4] if name != "cam1/raw"]),
    ],
)
def test_patterns(archive, pattern: str, expected: list[str]) -> None:
    assert uris(pattern) == expected


def test_a_name_that_looks_like_a_pattern_is_a_name(archive) -> None:
    (archive / "[1].mp4").write_bytes(TS)
    (archive / "1.mp4").write_bytes(TS)
    assert uris("[1].mp4") == ["[1].mp4"]


def test_names_that_look_like_something_else_become_whole_paths(archive) -> None:
    folder = archive / "odd"
    folder.mkdir()
    for name in ("cam:1.mp4", "~nobody.mp4", "-"):
        (folder / name).write_bytes(TS)
    os.chdir(folder)
    assert uris(".") == [str(folder / "-").removeprefix(f"{folder}/"), *uris(str(folder))[1:]]
    assert uris("~nobody.mp4") == [f"{folder}/~nobody.mp4"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_a_list_on_standard_input(archive, end: str) -> None:
    listed = ["videos/cam1/a.mkv", "", "videos/cam2", "rendered:day?seconds=1"]
    assert uris("-", stdin=end.join(listed) + end) == [
        *("videos/cam1/a.mkv", "videos/cam2/b9.ts", "videos/cam2/b10.ts"),
        "rendered:day?seconds=1",
    ]


def test_what_comes_twice_is_taken_once(archive) -> None:
    (archive / "link.mkv").symlink_to(archive / "videos/cam1/a.mkv")
    found = uris("link.mkv", "videos/cam1", "file:videos/cam1/raw", "http://h/a", "http://h/a")
    assert found == ["link.mkv", "videos/cam1/raw", "http://h/a"]


def test_links_that_lead_back_are_not_followed_for_ever(archive) -> None:
    (archive / "videos/cam1/back").symlink_to(archive / "videos")
    (archive / "videos/cam2/more").symlink_to(archive / "videos/cam10")
    found = uris("videos")
    assert len(found) == len({os.path.realpath(uri) for uri in found}) == 5
    assert len(uris("videos/**/*.ts")) == 2


def test_results_of_a_batch_are_no_inputs(archive) -> None:
    out = archive / "videos/out"
    (out / "clip").mkdir(parents=True)
    (out / "batch.json").write_text("{}")
    (out / "clip/annotated.mp4").write_bytes(TS)
    assert len(uris("videos")) == 5


def test_what_is_not_there_does_not_stop_the_others(archive) -> None:
    (archive / "empty").mkdir()
    (archive / "images").mkdir()
    (archive / "images/1.png").write_bytes(b"")
    (archive / "broken.mp4").symlink_to("nowhere.mp4")
    found = expand(
        [
            *("gone.mp4", "empty", "images", "*.mkv", "videos/cam2/b9.ts", "rtsp://u:pw@h/s"),
            *("ftp://u:pw@h/a", "videos/cam1/*.txt", "broken.mp4"),
        ]
    )
    errors = {entry.uri: entry.error for entry in found}
    assert errors.pop("videos/cam2/b9.ts") == ""
    assert errors.pop("broken.mp4") == ""  # probing says so
    assert errors["gone.mp4"].startswith("gone.mp4: there is no such file; relative paths start at")
    assert errors["empty"] == "empty: no video in this folder"
    assert errors["images"].endswith("for the images in it write dir:images")
    assert "*.mkv: no file matches; relative paths start at" in errors["*.mkv"]
    assert "no video among what matches" in errors["videos/cam1/*.txt"]
    assert "live camera" in errors["rtsp://u:pw@h/s"]
    assert "unknown kind of source 'ftp'" in errors["ftp://u:pw@h/a"]
    assert "pw" not in "".join(errors.values())


@pytest.mark.skipif(not os.geteuid(), reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_reported(archive) -> None:
    (archive / "videos/cam1").chmod(0)
    try:
        found = {entry.uri: entry.error for entry in expand(["videos"])}
    finally:
        (archive / "videos/cam1").chmod(0o755)
    assert "Permission denied; check its permissions" in found["videos/cam1"]
    assert found["videos/cam2/b9.ts"] == ""


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "no input is named"),
        (["gone.mp4", "*.avi"], r"gone\.mp4: there is no such file.*; \*\.avi: no file matches"),
        (["-"], "no input is named"),
        ([f"{i}.mp4" for i in range(9)], "4.mp4: .*; and 4 more"),
    ],
)
def test_nothing_at_all_is_an_error(archive, inputs: list[str], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        expand(inputs, io.StringIO(""))

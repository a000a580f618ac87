"""Cameras that were added, removed and paused, on top of a file."""

from __future__ import annotations

import pytest

from pipeline.config import Overlay, PipelineConfig, loads
from pipeline.config.document import parse
from pipeline.errors import ConfigError

FILE = """
cameras:
  - {id: a, uri: "rendered:day"}
  - {id: b, uri: "rendered:day"}
  - {id: c, uri: "rendered:day", max_fps: 5}
stages: {detect: {model: hog-people}}
"""
D = {"id": "d", "uri": "rendered:night"}


def cameras(overlay: Overlay, text: str = FILE) -> list[str]:
    return [camera.id for camera in loaded(overlay, text).cameras]


def loaded(overlay: Overlay, text: str = FILE) -> PipelineConfig:
    return loads(text, "street.yaml", overlay=overlay)


def test_cameras_are_added_removed_and_paused() -> None:
    overlay = Overlay().adding(D).removing("b").pausing("c", True)
    assert cameras(overlay) == ["a", "c", "d"]
    assert [camera.paused for camera in loaded(overlay).cameras] == [False, True, False]
    assert loaded(overlay).cameras[1].max_fps == 5


def test_a_pause_that_the_file_says_can_be_lifted() -> None:
    text = FILE.replace("max_fps: 5", "paused: true")
    assert [camera.paused for camera in loaded(Overlay(), text).cameras] == [False, False, True]
    lifted = loaded(Overlay().pausing("c", False), text)
    assert not any(camera.paused for camera in lifted.cameras)


def test_a_camera_that_was_added_can_be_paused_and_removed() -> None:
    overlay = Overlay().adding(D).pausing("d", True)
    assert loaded(overlay).cameras[-1].paused
    assert cameras(overlay.removing("d")) == ["a", "b", "c"]
    again = overlay.removing("d").adding(D)
    assert not loaded(again).cameras[-1].paused


def test_a_camera_of_the_file_can_be_removed_and_added_otherwise() -> None:
    overlay = Overlay().removing("a").adding({"id": "a", "uri": "rendered:night"})
    assert cameras(overlay) == ["b", "c", "a"]
    assert loaded(overlay).cameras[-1].uri == "rendered:night"


def test_what_was_added_and_is_in_the_file_by_now_is_the_files() -> None:
    overlay = Overlay().adding({"id": "a", "uri": "rendered:night"})
    assert cameras(overlay) == ["a", "b", "c"]
    assert loaded(overlay).cameras[0].uri == "rendered:day"


def test_what_the_file_says_by_itself_is_not_kept() -> None:
    file = parse(FILE, "street.yaml", {})
    overlay = Overlay().adding(D).removing("b").removing("x").pausing("c", True).pausing("y", True)
    settled = overlay.settled(file)
    assert (set(settled.added), settled.removed, set(settled.paused)) == ({"d"}, {"b"}, {"c"})
    by_now = parse(FILE.replace("id: b", "id: d"), "street.yaml", {})
    assert overlay.settled(by_now) == Overlay(paused={"c": True})
    otherwise = Overlay().removing("a").adding({"id": "a", "uri": "rendered:night"})
    assert otherwise.settled(file) == otherwise


def test_messages_still_name_the_line() -> None:
    with pytest.raises(ConfigError, match=r"street\.yaml:5:\d+: cameras\[1\]\.max_fps"):
        loaded(Overlay().removing("b"), FILE.replace("max_fps: 5", "max_fps: -5"))


def test_what_is_wrong_with_an_added_camera_is_told_as_such() -> None:
    with pytest.raises(ConfigError, match=r"camera 'd', added at run time.*max_fps"):
        loaded(Overlay().adding({**D, "max_fps": -1}))
    with pytest.raises(ConfigError, match="unknown"):
        loaded(Overlay().adding({**D, "colour": "red"}))


def test_nothing_in_an_added_camera_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-t0ken")
    config = loaded(Overlay().adding({"id": "d", "uri": "rtsp://10.0.0.1/${TOKEN}"}))
    assert config.cameras[-1].uri == "rtsp://10.0.0.1/${TOKEN}"


@pytest.mark.parametrize("text", ["", "cameras: 5", "[1]", "cameras: [1, {id: [x]}]"])
def test_a_file_without_cameras_is_left_to_complain_for_itself(text: str) -> None:
    overlay = Overlay().adding(D).removing("b").pausing("c", True)
    with pytest.raises(ConfigError):
        loaded(overlay, text)

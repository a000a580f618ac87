"""Pictures of switches are looked at: boxes are where they should be, in their colours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.evaluation.assessment import assess
from pipeline.evaluation.evaluate import Rules, prepare
from pipeline.evaluation.mot_files import table_from_rows
from pipeline.evaluation.pictures import Shot, shots

WHITE, ORANGE, BLUE = (240, 240, 240), (65, 150, 235), (222, 192, 92)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four dark pictures of 640 x 480, each a little lighter than the one before."""
    for number in range(1, 5):
        grey = np.full((480, 640, 3), 10 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:06}.png"), grey)
    return tmp_path


def _shots(uri: str, frames: int = 4, width: float | None = None, scale: float = 1.0) -> list[Shot]:
    """One object whose track changes with frame 3; the old one stays at its left until then."""
    gt = [(f, 1, 300, 200, 40, 80, 1, 1) for f in range(1, frames + 1)]
    result = [(f, 5, 300, 200, 40, 80, 1, 1) for f in (1, 2)] + [(3, 5, 200, 200, 40, 80, 1, 1)]
    result += [(f, 6, 304, 204, 40, 80, 1, 1) for f in range(3, frames + 1)]
    tables = (table_from_rows(rows).scaled(scale) for rows in (gt, result))
    sequence = prepare(*tables, Rules())
    return shots(uri, assess("one", sequence, Rules()).switches, sequence, width)


def _has(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """(x1, y1, x2, y2) of what is of about this colour."""
    y, x = np.nonzero(np.abs(image.astype(int) - color).max(axis=2) < 40)
    return np.array([x.min(), y.min(), x.max(), y.max()])


@pytest.mark.parametrize("scale", [1.0, 1.6])
def test_the_boxes_are_in_their_place(folder: Path, scale: float) -> None:
    [shot] = _shots(str(folder), width=640 * scale, scale=scale)
    assert shot.event.frame == 3
    image = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (shot.height, shot.width, 3)
    assert abs(int(np.median(image)) - 30) <= 2  # the third picture
    there, before, after = (_has(image, color) for color in (WHITE, ORANGE, BLUE))
    zoom = (there[3] - there[1]) / 80  # the object is 80 pixels high
    assert zoom > 1
    assert (after - there)[2:] == pytest.approx(4 * zoom, abs=2.5)
    assert (after - before)[2] == pytest.approx(104 * zoom, abs=5)
    assert shot.uri.startswith("data:image/jpeg;base64,/9j/")


def test_frames_that_the_source_does_not_have_are_left_out(folder: Path) -> None:
    for number in (3, 4):
        (folder / f"{number:06}.png").unlink()
    assert _shots(str(folder)) == []


def test_a_source_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no image in this folder"):
        _shots(str(tmp_path))
    with pytest.raises(SourceError, match="there is no such file"):
        _shots(str(tmp_path / "video.mp4"))


def test_a_camera_is_refused_without_its_password() -> None:
    with pytest.raises(SourceError, match="a camera does not show the past") as caught:
        _shots("rtsp://me:secret@127.0.0.1/live")
    assert "secret" not in str(caught.value)

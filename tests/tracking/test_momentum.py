"""The direction of a track, and detections that keep it or not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tracking.cost import Pairs
from pipeline.tracking.momentum import Path


def box(x: float, y: float) -> np.ndarray:
    return np.array([[x - 5, y - 10, x + 5, y + 10]], np.float32)


def walked(*centres: tuple[float, float]) -> Path:
    path = Path()
    path.append(box(*centres[0]))
    for centre in centres[1:]:
        path.hit(np.array([0]), box(*centre))
    return path


def agreement(path: Path, x: float, y: float) -> float:
    only = np.zeros(1, np.intp)
    return float(path.agreement(Pairs(only, only, np.ones(1)), box(x, y))[0])


@pytest.mark.parametrize(
    ("what", "x", "y", "expected"),
    [
        ("straight on", 50, 0, 0.5),
        ("to the side", 40, 30, 0.0),
        ("back", 20, 0, -0.5),
        ("on the spot", 40, 0, 0.0),
    ],
)
def test_agreement(what: str, x: float, y: float, expected: float) -> None:
    path = walked((0, 0), (10, 0), (20, 0), (30, 0), (40, 0))
    assert agreement(path, x, y) == pytest.approx(expected), what


def test_the_direction_is_that_of_the_last_observations() -> None:
    corner = walked((0, 100), (0, 50), (0, 0), (10, 0), (20, 0), (30, 0))
    assert agreement(corner, 40, 0) == pytest.approx(0.5)


def test_a_new_track_has_no_direction() -> None:
    assert agreement(walked((0, 0)), 10, 0) == 0


def test_tracks_are_kept_apart() -> None:
    path = Path()
    path.append(np.concatenate((box(0, 0), box(0, 0), box(0, 0))))
    path.hit(np.array([2, 0]), np.concatenate((box(10, 0), box(-10, 0))))
    path.keep(np.array([False, True, True]))
    pairs = Pairs(np.array([0, 1]), np.array([0, 0]), np.ones(2))
    assert path.agreement(pairs, box(20, 0)) == pytest.approx([0, 0.5])


def test_the_camera_turns_by_a_right_angle() -> None:
    path = walked((0, 0), (10, 0))
    path.warp(np.array([[0.0, -1, 5], [1, 0, 7]]))
    assert path.centres[:, 0, 0] == pytest.approx([5, 17])
    assert agreement(path, 5, 30) == pytest.approx(0.5)

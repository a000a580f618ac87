"""Looking at a picture in another way finds the same in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import d2go
from benchmarks.d2go import Frame, Look
from benchmarks.int8 import LOOKS, PAGE, TABLES
from pipeline.detection.detections import Detections
from pipeline.media.geometry import place


def bright(image: np.ndarray) -> Detections:
    """One object: all that is brighter than black."""
    rows, columns = np.nonzero(image[0, 0])
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return Detections(np.float32([box]), np.ones(1, np.float32), np.zeros(1, np.int32))


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_boxes_come_back_in_the_frames_own_pixels(look: Look) -> None:
    image = np.zeros((1, 3, d2go.HEIGHT, d2go.WIDTH), np.float32)
    image[:, :, 40:100, 60:90] = 255
    size: Any = (2 * d2go.WIDTH, 2 * d2go.HEIGHT, d2go.WIDTH, d2go.HEIGHT)
    frame = Frame(0, image, place(*size, resize="stretch"))
    detect: Any = bright
    found = d2go.found(detect, frame, look)
    np.testing.assert_array_equal(found.boxes_xyxy, [[120, 80, 180, 200]])


def test_tracks_backwards_are_of_the_same_frames() -> None:
    steps = [np.float32([[10 + 5 * i, 20, 60 + 5 * i, 140]]) for i in range(8)]
    sure, person = np.full(1, 0.9, np.float32), np.full(1, d2go.PERSON, np.int32)
    detections = [Detections(step, sure, person) for step in steps]
    times_ns = [40_000_000 * i for i in range(8)]
    for backwards in (False, True):
        tracks = d2go.tracks(detections, times_ns, backwards=backwards)
        assert sorted(tracks.frames) == list(range(1, 9))
        assert set(tracks.ids) == {1}
        boxes = tracks.boxes_xyxy[np.argsort(tracks.frames)]
        np.testing.assert_allclose(boxes, np.concatenate(steps), atol=3)


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_a_place_for_every_table(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = (
        page.index(f"<!-- int8 {name}: begin -->"),
        page.index(f"<!-- int8 {name}: end -->"),
    )
    assert "|" in page[begin:end]

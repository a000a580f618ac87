"""A digest says what the lines say, in little room, and shows whom they are about."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.batch.clip import Clip
from pipeline.batch.digest import write_digest
from pipeline.media.writer import VideoWriter
from tests.batch.lines import FRAME_NS, HEIGHT, WIDTH, event, line, track, write

NOWHERE = Clip("yard", "nowhere.mp4", width=WIDTH, height=HEIGHT, fps=25.0)
BOX = (100.0, 60.0, 140.0, 160.0)


def digest(folder: Path, clip: Clip = NOWHERE, thumbnails: int = 0) -> dict[str, Any]:
    write_digest(folder, clip, thumbnails)
    found: dict[str, Any] = json.loads((folder / "digest.json").read_text(encoding="utf-8"))
    return found


def test_tracks_are_told_with_their_times(tmp_path: Path) -> None:
    """One for two seconds; another from 1 s, away from 2 to 4 s, and back for a second."""
    lines = [
        line(
            i,
            *([track(1, BOX)] if i < 50 else []),
            *([track(2, BOX, **{"class": "car"})] if 25 <= i < 50 or 100 <= i < 125 else []),
        )
        for i in range(150)
    ]
    found = digest(write(tmp_path, lines))
    one, two = found["tracks"]
    assert (one["id"], one["class"], one["spans"], one["frames"]) == (1, "person", [[0.0, 2.0]], 50)
    assert two["spans"] == [[1.0, 2.0], [4.0, 5.0]]
    assert (two["first_s"], two["last_s"], two["dwell_s"]) == (1.0, 5.0, 2.0)
    assert found["frames"] == 150
    assert found["end_s"] == 6.0
    assert found["classes"] == {
        "car": {"tracks": 1, "seconds": 2.0},
        "person": {"tracks": 1, "seconds": 2.0},
    }
    assert found["dwell"]["counts"][:4] == [0, 0, 2, 0]
    assert found["dwell"]["median_s"] == 2.0


def test_a_track_that_is_predicted_for_a_while_was_there(tmp_path: Path) -> None:
    unseen = [track(1, BOX, state="lost", unseen_s=0.04 * (i - 9)) for i in range(10, 60)]
    told = [track(1, BOX)] * 10 + unseen + [track(1, BOX)] * 10
    found = digest(write(tmp_path, [line(i, one) for i, one in enumerate(told)]))
    assert found["tracks"][0]["spans"] == [[0.0, 2.8]]
    assert found["tracks"][0]["frames"] == 20


def test_counts_are_means_over_bins_that_double(tmp_path: Path) -> None:
    """Two are there in every second of even number, for 100 s."""
    lines = [
        line(i, *([track(1, BOX), track(2, BOX)] if i // 25 % 2 == 0 else [])) for i in range(2500)
    ]
    counts = digest(write(tmp_path, lines))["counts"]
    assert counts["bin_s"] == 0.5
    assert len(counts["most"]) == 200
    assert counts["most"][:6] == [2, 2, 0, 0, 2, 2]
    assert np.mean(counts["classes"]["person"]) == pytest.approx(1.0, abs=0.02)
    longer = [line(i, *one["tracks"]) for i, one in enumerate(lines * 2)]
    again = digest(write(tmp_path, longer))["counts"]
    assert (again["bin_s"], len(again["most"])) == (1.0, 200)
    assert again["classes"]["person"][:4] == [2.0, 0.0, 2.0, 0.0]


def test_blind_is_not_none(tmp_path: Path) -> None:
    lines = [
        line(i, track(1, BOX))
        if i < 50
        else line(i, track(1, BOX, unseen_s=1.0), status="blind", reason="engine failed")
        for i in range(100)
    ]
    found = digest(write(tmp_path, lines))
    assert found["statuses"]["seconds"] == {"blind": 2.0, "ok": 2.0}
    assert found["statuses"]["stretches"] == [[2.0, 4.0, "blind", "engine failed"]]
    assert found["counts"]["most"] == [1] * 8 + [None] * 8
    assert found["counts"]["classes"]["person"] == [1.0] * 8 + [None] * 8


def test_heat_is_the_time_of_feet(tmp_path: Path) -> None:
    lines = [line(i, track(1, (0.0, 0.0, 20.0, 118.0))) for i in range(100)]
    heat = np.array(digest(write(tmp_path, lines))["heat"])
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert heat.sum() == heat.max() == pytest.approx(4.0, abs=0.01)
    assert abs((row + 0.5) / heat.shape[0] * HEIGHT - 118) < 3
    assert abs((column + 0.5) / heat.shape[1] * WIDTH - 10) < 3


def test_places_are_in_pixels_of_the_first_frame(tmp_path: Path) -> None:
    lines = [line(0, track(1, (0, 0, 40, 80)))]
    lines += [line(i, track(1, (0, 0, 80, 160)), width=640, height=480) for i in range(1, 5)]
    assert digest(write(tmp_path, lines))["tracks"][0]["path"] == [[20, 80]]


def test_a_path_is_kept_by_its_corners(tmp_path: Path) -> None:
    """To the right for 20 s, then down."""
    places = [(i / 5, 100.0) for i in range(500)] + [(100.0, 100 + i / 5) for i in range(500)]
    lines = [line(i, track(1, (x, y - 20, x + 10, y))) for i, (x, y) in enumerate(places)]
    path = digest(write(tmp_path, lines))["tracks"][0]["path"]
    assert path[0] == [5, 100]
    assert len(path) <= 5
    corner = min(path, key=lambda point: abs(point[0] - 105) + abs(point[1] - 100))
    assert abs(corner[0] - 105) + abs(corner[1] - 100) < 5
    assert path[-1] == [105, 200]


def test_events_and_speeds_are_taken_over(tmp_path: Path) -> None:
    lines = [
        line(
            i,
            track(1, BOX, speed_kmh=None if i < 3 else 3.0 * i),
        )
        for i in range(500)
    ]
    found = digest(write(tmp_path, lines, [event(i) for i in range(1, 500, 2)]))
    assert found["events"][0].items() <= event(1).items()
    assert len(found["events"]) == 200
    assert found["events_by_kind"] == [
        {"rule": "gate", "kind": "cross", "direction": "in", "count": 250}
    ]
    assert found["tracks"][0]["fastest_kmh"] == 1497.0


def test_there_is_one_also_of_nothing(tmp_path: Path) -> None:
    found = digest(write(tmp_path, []), thumbnails=5)
    assert (found["frames"], found["tracks"], found["width"]) == (0, [], WIDTH)
    assert not found["background"]
    assert found["notes"] == []


def test_a_video_that_is_gone_leaves_a_note(tmp_path: Path) -> None:
    found = digest(write(tmp_path, [line(i, track(1, BOX)) for i in range(10)]), thumbnails=5)
    assert not found["background"]
    assert not found["tracks"][0]["picture"]
    assert "no such file" in found["notes"][0]


@pytest.fixture
def walk(tmp_path: Path) -> tuple[Clip, Path]:
    """A red thing walks over a green ground for 12 s, and its results."""
    path, lines = tmp_path / "walk.mp4", []
    with VideoWriter(path, WIDTH, HEIGHT, 25.0) as writer:
        for i in range(300):
            image = np.full((HEIGHT, WIDTH, 3), (30, 120, 30), np.uint8)
            x = i - 20
            image[100:180, max(x, 0) : max(x + 40, 0)] = (20, 20, 200)
            writer.write(image, i * FRAME_NS)
            box = (max(x, 0), 100, min(x + 40, WIDTH), 180)
            lines.append(line(i, track(7, box, score=0.9 if i == 200 else 0.8)))
    clip = Clip("walk", str(path), "h264", WIDTH, HEIGHT, 25.0, 300)
    return clip, write(tmp_path / "results", lines)


def _mean(path: Path) -> list[float]:
    image = cv2.imread(str(path))
    return list(image.reshape(-1, 3).mean(axis=0))


def test_a_thumbnail_shows_its_track_and_the_background_nobody(walk: tuple[Clip, Path]) -> None:
    clip, results = walk
    found = digest(results, clip, thumbnails=1)
    assert found["tracks"][0]["best"]["pts_ns"] == 200 * FRAME_NS
    assert found["tracks"][0]["picture"]
    assert found["background"]
    assert found["notes"] == []
    blue, green, red = _mean(results / "thumbs/7.jpg")
    assert red > 2 * green > 2 * blue / 2
    background = cv2.imread(str(results / "thumbs/background.jpg"))
    assert background.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(background.astype(int) - (30, 120, 30)).max() < 40


def test_boxes_that_are_hardly_there_have_pictures_too(walk: tuple[Clip, Path]) -> None:
    clip, results = walk
    boxes = [
        (50.1, 60.0, 50.3, 90.0),
        (-40.0, 60.0, -10.0, 90.0),
        (WIDTH + 5.0, 0.0, WIDTH + 9.0, 9.0),
        (0.0, HEIGHT - 0.2, WIDTH, HEIGHT + 40.0),
    ]
    tracks = [track(i, box) for i, box in enumerate(boxes)]
    write(results, [line(i, *tracks) for i in range(10)])
    found = digest(results, clip, thumbnails=9)
    assert [one["picture"] for one in found["tracks"]] == [True] * 4


def test_the_same_again_gives_the_same_bytes(walk: tuple[Clip, Path]) -> None:
    clip, results = walk
    hashes = []
    for _ in range(2):
        write_digest(results, clip, 5)
        files = sorted(path for path in results.rglob("*") if path.is_file())
        hashes.append([hashlib.sha256(path.read_bytes()).digest() for path in files])
        assert not [path for path in files if path.suffix == ".part"]
    assert hashes[0] == hashes[1]


def test_a_moment_in_which_nobody_is_in_front_is_better(tmp_path: Path) -> None:
    in_front = track(2, (90.0, 70.0, 150.0, 200.0))
    lines = [line(i, track(1, BOX, score=0.9 if i else 0.8), in_front) for i in range(20)]
    lines.append(line(20, track(1, BOX, score=0.5)))
    lines.append(line(21, track(1, (0.0, 60.0, 60.0, 160.0), score=0.9)))  # at the border
    found = digest(write(tmp_path, lines))["tracks"][0]
    assert found["best"]["pts_ns"] == 20 * FRAME_NS

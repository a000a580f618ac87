"""Trackers on detections that are there already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.mot_files import ANY_CLASS, MotTable, read_mot, table_from_rows
from pipeline.tracking.offline import track_arrays, track_file, track_table
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker

FPS = 10.0


def _walk(frames: list[int], label: int = ANY_CLASS, score: float = 0.9) -> list[list[float]]:
    """Somebody who walks to the right at 2 pixels a frame."""
    return [[frame, -1, 10 + 2 * frame, 20, 30, 60, score, label] for frame in frames]


def _write(path: Path, rows: list[list[float]]) -> Path:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def test_three_lines(tmp_path: Path) -> None:
    path = _write(tmp_path / "det.txt", _walk([*range(1, 21)]))
    run = track_file(path, fps=FPS, preset="sightline")
    run.write(tmp_path / "out" / "tracks.txt")
    written = read_mot(tmp_path / "out" / "tracks.txt")
    assert (run.frames, run.detections, run.tracks) == (20, 20, 1)
    assert written.frames.tolist() == [*range(1, 21)]
    assert set(written.ids) == {1}
    assert [*(tmp_path / "out").iterdir()] == [tmp_path / "out" / "tracks.txt"]


def test_a_table_gives_what_its_frames_give_one_by_one() -> None:
    rows = np.array(_walk([1, 2, 3, 7, 8]) + _walk([2, 3, 4, 9], score=0.3))
    rows[5:, 2] += 100
    table = table_from_rows(np.random.default_rng(0).permutation(rows))
    tracker, expected = Tracker(TrackSpec()), []
    for frame in range(1, 10):
        now = table.take(table.frames == frame)
        found = Detections(
            now.boxes_xyxy, now.scores.astype(np.float32), np.zeros(len(now), np.int32)
        )
        tracks = tracker.update(found, (frame - 1) * 100_000_000)
        expected += [(frame, i, *box) for i, box in zip(tracks.ids, tracks.boxes_xyxy, strict=True)]
    run = track_table(table, FPS, TrackSpec())
    assert run.frames == 9
    got = [
        (f, i, *b)
        for f, i, b in zip(run.table.frames, run.table.ids, run.table.boxes_xyxy, strict=True)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_frames_without_detections_are_seen() -> None:
    gap = _walk([1, 2, 3, 4]) + _walk([30, 31, 32, 33])  # 2.6 s; tracks are lost for 2 s
    assert track_table(table_from_rows(gap), FPS, TrackSpec()).tracks == 2
    late = track_table(table_from_rows(_walk([5, 6, 7, 8])), FPS, TrackSpec())
    assert late.table.frames.tolist() == [7, 8]  # not the session's first frame: three hits first


def test_confidences_of_any_range_track_alike() -> None:
    scores = np.random.default_rng(1).uniform(0.5, 1, 20)
    rows = np.array(_walk([*range(1, 21)]))
    tables = []
    for factor, offset in ((1, 0), (100, 0), (140, -80)):  # scores, percent, margins from -10 to 60
        rows[:, 6] = scores * factor + offset
        tables.append(track_table(table_from_rows(rows), FPS, TrackSpec()).table)
    for table in tables:
        np.testing.assert_array_equal(table.frames, tables[0].frames)
        np.testing.assert_array_equal(table.ids, tables[0].ids)


def test_least_confidence_is_in_the_unit_of_the_file() -> None:
    rows = np.array(_walk([*range(1, 11)]))
    rows[:, 6] = np.linspace(10, 100, 10)
    assert track_table(table_from_rows(rows), FPS, TrackSpec(), min_score=40).detections == 7


@pytest.mark.parametrize("label", [ANY_CLASS, 0, 7])
def test_classes_are_kept(label: int) -> None:
    run = track_table(table_from_rows(_walk([1, 2, 3], label)), FPS, TrackSpec())
    assert set(run.table.classes) == {label}


def test_arrays() -> None:
    frames = [np.array([[10 + 2 * i, 20, 40 + 2 * i, 80, 0.9, 3]]) for i in range(5)]
    run = track_arrays([*frames, np.empty((0, 6))], fps=FPS, preset="sort")
    assert run.frames == 6 or run.table.frames.max() == 5
    assert set(run.table.classes) == {3}
    np.testing.assert_allclose(run.table.boxes_xyxy[0], [10, 20, 40, 80])


def test_gaps_are_filled_on_demand() -> None:
    table = table_from_rows(_walk([1, 2, 3, 4, 8, 9, 10]))
    run = track_table(table, FPS, TrackSpec())
    assert run.table.frames.tolist() == [1, 2, 3, 4, 8, 9, 10]
    assert run.interpolated(0.5).table.frames.tolist() == [*range(1, 11)]
    assert run.interpolated(0.3).table.frames.tolist() == [1, 2, 3, 4, 8, 9, 10]


def test_zones_in_fractions_need_the_size_of_the_picture() -> None:
    zone = {"points": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
    spec = TrackSpec.model_validate({"screening": {"zones": [zone]}})
    table = table_from_rows(_walk([*range(1, 41)]))
    with pytest.raises(ConfigError, match="whose size is not known"):
        track_table(table, FPS, spec)
    inside = track_table(table, FPS, spec, picture=(120, 100)).table
    assert inside.frames.tolist() == [*range(1, 19)]  # the foot is at 25 + 2 frame - 1 ≤ 60


@pytest.mark.parametrize(
    ("table", "fps", "complaint"),
    [
        (table_from_rows(_walk([1])), 0, "frames per second above 0"),
        (table_from_rows(_walk([10**8])), FPS, "at most 10000000 frames"),
        (table_from_rows(_walk([1], 10**6)), FPS, "expected classes from 0"),
        (table_from_rows(_walk([1], -2)), FPS, "expected classes from 0"),
    ],
)
def test_mistakes(table: MotTable, fps: float, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        track_table(table, fps, TrackSpec())


def test_mistakes_in_calls(tmp_path: Path) -> None:
    path = _write(tmp_path / "det.txt", [[1, -1, 5, 5, 5, 5]])
    with pytest.raises(DataError, match=r"det\.txt:1: expected 7 to 10 numbers"):
        track_file(path)
    with pytest.raises(ConfigError, match="no preset 'sorty'"):
        track_file(_write(path, _walk([1])), preset="sorty")
    with pytest.raises(ConfigError, match="unknown key 'high_scor'; did you mean 'high_score'"):
        track_file(path, high_scor=0.5)
    with pytest.raises(DataError, match=r"frame 1: expected an array .* got \(3,\)"):
        track_arrays([np.empty((0, 5)), np.zeros(3)])


def test_nothing_detected() -> None:
    run = track_table(table_from_rows([]), FPS, TrackSpec())
    assert (run.frames, run.detections, run.tracks, len(run.table)) == (0, 0, 0, 0)

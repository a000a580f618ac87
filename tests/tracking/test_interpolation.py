"""Filling the gaps of finished tracks: properties that hold for all tracks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.tracking.interpolation import UNSEEN, Method, interpolated

FPS = 10.0
METHODS: list[Method] = ["linear", "gaussian"]


def _table(tracks: dict[int, list[int]], seed: int = 0, jitter: float = 0.0) -> MotTable:
    """Tracks seen in these frames, in uniform motion, with some jitter."""
    noise = np.random.default_rng(seed)
    rows = []
    for identity, frames in tracks.items():
        start, speed = noise.uniform(100, 200, 4), noise.uniform(-1, 1, 4)
        for frame in frames:
            box = start + speed * frame + jitter * noise.normal(size=4)
            rows.append([frame, identity, *box, 0.9, 1])
    noise.shuffle(rows)
    return table_from_rows(rows)


some_tracks = st.dictionaries(
    st.integers(1, 9),
    st.lists(st.integers(1, 60), min_size=1, max_size=20, unique=True),
    max_size=4,
)


@pytest.mark.parametrize("method", METHODS)
@given(tracks=some_tracks, jitter=st.sampled_from([0.0, 3.0]), max_gap_s=st.floats(0, 5))
def test_what_is_added(
    method: Method, tracks: dict[int, list[int]], jitter: float, max_gap_s: float
) -> None:
    table = interpolated(_table(tracks, 1, jitter), FPS, max_gap_s, method)
    assert set(table.ids) == set(tracks)
    for identity, frames in tracks.items():
        rows = table.take(table.ids == identity)
        expected = {
            between: before in frames and between == before
            for before, after in zip(sorted(frames), sorted(frames)[1:], strict=False)
            for between in range(before, after if after - before <= max_gap_s * FPS else before + 1)
        } | {max(frames): True}
        assert dict(zip(rows.frames.tolist(), rows.scores != UNSEEN, strict=True)) == expected


@pytest.mark.parametrize("method", METHODS)
@given(tracks=some_tracks, seed=st.integers(0, 100))
def test_uniform_motion_is_met_exactly(
    method: Method, tracks: dict[int, list[int]], seed: int
) -> None:
    every_frame = {i: list(range(min(f), max(f) + 1)) for i, f in tracks.items()}
    full = interpolated(_table(every_frame, seed), FPS, 0)
    gappy = full.take(
        np.array([f in tracks[i] for i, f in zip(full.ids, full.frames, strict=True)], np.bool_)
    )
    np.testing.assert_allclose(
        interpolated(gappy, FPS, 10, method).boxes_xywh, full.boxes_xywh, atol=1e-9
    )


@given(tracks=some_tracks, max_gap_s=st.floats(0, 5))
def test_linear_twice_is_linear_once(tracks: dict[int, list[int]], max_gap_s: float) -> None:
    once = interpolated(_table(tracks, 2, 5.0), FPS, max_gap_s)
    twice = interpolated(once, FPS, max_gap_s)
    np.testing.assert_array_equal(twice.frames, once.frames)
    np.testing.assert_array_equal(twice.boxes_xywh, once.boxes_xywh)
    np.testing.assert_array_equal(twice.scores, once.scores)


def test_predictions_give_way_where_a_gap_is_filled() -> None:
    table = _table({1: [1, 2, 3, 6, 7, 20, 21]}, 3)
    predicted = np.isin(table.frames, [3, 21])  # the tracker went on for a frame, wrongly
    table.scores[predicted] = UNSEEN
    table.boxes_xywh[predicted] += 50
    filled = interpolated(table, FPS, 0.5)
    assert filled.frames.tolist() == [1, 2, 3, 4, 5, 6, 7, 20, 21]
    np.testing.assert_allclose(np.diff(filled.boxes_xywh[:7], 2, axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(filled.boxes_xywh[8], table.boxes_xywh[table.frames == 21][0])


def test_a_file_that_gives_no_scores() -> None:
    table = _table({1: [1, 2, 5]}, 3)
    table.scores[:] = UNSEEN
    assert interpolated(table, FPS, 0.5).frames.tolist() == [1, 2, 3, 4, 5]


def test_linear_leaves_what_was_there() -> None:
    table = _table({1: [1, 2, 5, 9], 2: [3, 4, 8]}, 3, 5.0)
    filled = interpolated(table, FPS, 1.0)
    was_there = filled.take(filled.scores != UNSEEN)
    order = np.lexsort((table.ids, table.frames))
    np.testing.assert_array_equal(was_there.boxes_xywh, table.boxes_xywh[order])
    assert (filled.classes == 1).all()


@pytest.mark.parametrize("length", [200, 9000])
def test_gaussian_takes_most_of_the_noise_out_of_a_winding_track(length: int) -> None:
    frames = np.arange(1, length + 1)
    noise = np.random.default_rng(5).normal(0, 4, (length, 4))
    way = np.stack([frames, 50 * np.sin(frames / 25), 0 * frames + 40, 0 * frames + 90], axis=1)
    rows = np.column_stack([frames, 0 * frames + 1, way + noise, 0 * frames, 0 * frames])
    smooth = interpolated(table_from_rows(rows), 25, 0, "gaussian")
    assert np.abs(smooth.boxes_xywh - way).mean() < 0.5 * np.abs(noise).mean()


def test_gaussian_leaves_a_track_without_noise_almost_alone() -> None:
    frames = np.arange(1, 201)
    way = np.stack([frames, 50 * np.sin(frames / 25), 0 * frames + 40, 0 * frames + 90], axis=1)
    rows = np.column_stack([frames, 0 * frames + 1, way, 0 * frames, 0 * frames])
    smooth = interpolated(table_from_rows(rows), 25, 0, "gaussian")
    np.testing.assert_allclose(smooth.boxes_xywh, way, atol=0.5)


def test_detections_are_refused() -> None:
    with pytest.raises(DataError, match="no identity"):
        interpolated(table_from_rows([[1, -1, 0, 0, 10, 10, 0.5, 1]]), FPS, 1)

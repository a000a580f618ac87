"""A tracker that is kept on disk goes on in the next run, and never gives out an id twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.clock import ManualClock
from pipeline.detection.detections import Detections
from pipeline.errors import StageError
from pipeline.packet import FrameInfo
from pipeline.tracking import snapshot
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import Tracks
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.warm_restart import Keeper, Keeping

SECOND = 10**9
FRAME = FrameInfo("gate", 0, 0, 0, 1920, 1080)


def objects(count: int, first_x: float = 0.0) -> Detections:
    """Objects that stand side by side."""
    left = first_x + 60.0 * np.arange(count)
    boxes = np.stack((left, np.full(count, 100), left + 40, np.full(count, 180)), axis=1)
    return Detections(
        boxes.astype(np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int32)
    )


@pytest.fixture
def keeping(tmp_path: Path) -> Keeping:
    return Keeping(tmp_path / "state", every_s=1.0, within_s=60.0, made_by="tracker, models")


class Runs:
    """Runs of one camera after each other, as the stage does them, 10 frames/s."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.spec = TrackSpec()
        self.tracker = Tracker(self.spec)

    @contextmanager
    def run(self, keeping: Keeping, frame: FrameInfo = FRAME) -> Iterator[Keeper]:
        """A run that is killed at the end of the block, unless it calls `finish`."""
        self.tracker = Tracker(self.spec)
        keeper = Keeper(keeping, self.tracker, frame, self.clock)
        self.pts_ns = frame.pts_ns
        try:
            yield keeper
        finally:
            keeper.close()  # as the end of a killed process does

    def see(self, keeper: Keeper, detections: Detections, frames: int = 1) -> Tracks:
        for _ in range(frames):
            tracks = self.tracker.update(detections, self.pts_ns)
            keeper.keep(self.pts_ns)
            self.pts_ns += SECOND // 10
            self.clock.advance(0.1)
        return tracks


@pytest.fixture
def runs() -> Runs:
    return Runs(ManualClock(1_700_000_000 * SECOND))


@pytest.mark.parametrize("pts_ns", [0, 777 * SECOND])
@pytest.mark.parametrize("away_s", [0.0, 3.0, 59.0])
@pytest.mark.parametrize("preset", ["sightline", "sort", "ocsort", "botsort"])
def test_identities_survive_a_kill(
    keeping: Keeping, runs: Runs, preset: str, away_s: float, pts_ns: int
) -> None:
    runs.spec = TrackSpec(preset=preset)
    with runs.run(keeping) as keeper:
        before = runs.see(keeper, objects(20), 25)
    runs.clock.advance(away_s)
    with runs.run(keeping, replace(FRAME, pts_ns=pts_ns)) as keeper:
        assert keeper.resumed == 20
        after = runs.see(keeper, objects(20))
    assert after.ids.tolist() == before.ids.tolist()


def test_ages_count_the_time_away(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(1), 11)
    runs.clock.advance(30.0)
    with runs.run(keeping) as keeper:
        after = runs.see(keeper, objects(1))
    assert after.ages_s[0] == pytest.approx(31.1)
    assert after.unseen_s[0] == 0


def test_a_track_that_is_not_found_again_ends_as_if_nobody_had_been_away(
    keeping: Keeping, runs: Runs
) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(2), 11)
    runs.clock.advance(30.0)
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(1), 8)
        assert len(runs.tracker) == 2
        runs.see(keeper, objects(1), 5)
        assert len(runs.tracker) == 1


def test_a_moving_object_is_expected_further_on(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        for k in range(31):
            before = runs.see(keeper, objects(1, first_x=6.0 * k))
    runs.clock.advance(1.5)
    with runs.run(keeping) as keeper:
        after = runs.see(keeper, objects(1, first_x=6.0 * 46))
    assert after.ids.tolist() == before.ids.tolist()


def test_no_id_is_given_out_twice_after_a_kill(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(2), 2)
        # All of these come and go before the tracker is saved again.
        early = [runs.see(keeper, objects(3, 200.0 * k), 3).ids.max() for k in range(1, 3)]
    with runs.run(keeping) as keeper:
        late = runs.see(keeper, objects(3, 1500.0), 3).ids
    assert late.min() > max(early)


def test_ids_that_run_ahead_of_the_file_are_saved_at_once(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(1))
        runs.see(keeper, objects(1100))
    assert snapshot.read(keeping.folder / "gate.npz").next_id > runs.tracker.next_id


def test_after_a_regular_end_the_ids_go_on_without_a_gap(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(2), 3)
        keeper.finish()
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(3), 3)
        assert runs.see(keeper, objects(3)).ids.tolist() == [1, 2, 3]


def test_it_is_saved_at_intervals_of_the_frames_time(keeping: Keeping, runs: Runs) -> None:
    saved = []
    with runs.run(keeping) as keeper:
        for _ in range(25):
            runs.see(keeper, objects(1))
            saved.append(snapshot.read(keeping.folder / "gate.npz").pts_ns)
    assert sorted(set(saved)) == [0, SECOND, 2 * SECOND]


def test_old_tracks_are_gone_and_their_ids_are_not_used_again(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(2), 3)
        keeper.finish()
    runs.clock.advance(61.0)
    with runs.run(keeping) as keeper:
        assert keeper.resumed == 0
        assert runs.see(keeper, objects(2)).ids.tolist() == [3, 4]


def test_a_clock_that_was_set_back_is_no_time_away(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping) as keeper:
        before = runs.see(keeper, objects(2), 3)
    runs.clock.advance(-3600.0)
    with runs.run(keeping) as keeper:
        assert runs.see(keeper, objects(2)).ids.tolist() == before.ids.tolist()


@pytest.mark.parametrize("what", ["made_by", "size", "camera", "program"])
def test_what_another_made_is_not_resumed(
    what: str, keeping: Keeping, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(2), 3)
        keeper.finish()
    path, frame = keeping.folder / "gate.npz", FRAME
    if what == "made_by":
        keeping = replace(keeping, made_by="another tracker")
    elif what == "size":
        frame = replace(FRAME, width=1280, height=720)
    elif what == "camera":
        frame = replace(FRAME, camera="yard")
        path.rename(keeping.folder / "yard.npz")
    else:
        saved = snapshot.read(path)
        snapshot.write(path, replace(saved, arrays={"another": np.zeros(3)}))
    with runs.run(keeping, frame) as keeper:
        assert keeper.resumed == 0
        assert runs.see(keeper, objects(2)).ids.tolist() == [3, 4]
    assert "starts without tracks" in caplog.text


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_file_is_a_cold_start(
    content: bytes, keeping: Keeping, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    with runs.run(keeping) as keeper:
        runs.see(keeper, objects(2), 3)
    (keeping.folder / "gate.npz").write_bytes(content)
    with runs.run(keeping) as keeper:
        assert runs.see(keeper, objects(2)).ids.tolist() == [1, 2]
    assert "gate.npz is damaged" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_two_runs_cannot_keep_the_same_camera(keeping: Keeping, runs: Runs) -> None:
    with runs.run(keeping):
        with pytest.raises(StageError, match=r"gate\.lock is locked: another run keeps"):
            Keeper(keeping, Tracker(), FRAME, runs.clock)
        Keeper(keeping, Tracker(), replace(FRAME, camera="yard"), runs.clock).close()
    with runs.run(keeping):
        pass


def test_a_folder_that_cannot_be_used_is_named(keeping: Keeping, runs: Runs) -> None:
    keeping.folder.write_text("a file")
    with pytest.raises(StageError, match=r"the folder .*state for `state` cannot be used"):
        Keeper(keeping, Tracker(), FRAME, runs.clock)


def test_a_run_goes_on_where_nothing_can_be_saved(
    keeping: Keeping, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    with runs.run(keeping) as keeper:
        (keeping.folder / "gate.npz.part").mkdir()
        runs.see(keeper, objects(2), 25)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "the tracks of gate are not saved" in caplog.text
        (keeping.folder / "gate.npz.part").rmdir()
        keeper.finish()
    assert snapshot.read(keeping.folder / "gate.npz").camera == "gate"

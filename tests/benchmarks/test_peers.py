"""The protocol with a library's process, with ours as the library; and what surrounds it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import environments
from benchmarks.peers.environments import REQUIREMENTS, interpreters, missing
from benchmarks.peers.process import Peer, PeerError
from benchmarks.peers.scene import Scene
from benchmarks.recordings import as_tracks, recordings
from benchmarks.trackers import walkers
from benchmarks.tracking_accuracy import PAGE, TABLES, best_first
from pipeline.detection.detections import Detections
from pipeline.evaluation.evaluate import combine
from pipeline.evaluation.preprocess import Benchmark
from pipeline.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer("sightline", Path(sys.executable)) as process:
        yield process


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Eight people, every third frame of theirs dropped."""
    return walkers(8, 30, np.random.default_rng(3)).kept(np.arange(30) % 3 > 0)


@pytest.fixture
def path(scene: Scene, tmp_path: Path) -> Path:
    scene.save(tmp_path / "scene.npz")
    return tmp_path / "scene.npz"


def test_a_scene_comes_back_from_its_file(scene: Scene, path: Path) -> None:
    assert scene.indices[:3].tolist() == [1, 2, 4]
    pairs = list(zip(scene, Scene.load(path), strict=True))
    assert len(pairs) == 20
    for (index, boxes, scores), (index_again, boxes_again, scores_again) in pairs:
        assert index == index_again
        np.testing.assert_array_equal(boxes, boxes_again)
        np.testing.assert_array_equal(scores, scores_again)


def test_tracks_are_those_of_the_tracker_at_the_true_times(
    peer: Peer, scene: Scene, path: Path
) -> None:
    tracker, rows = Tracker(), []
    for index, boxes, scores in scene:
        found = Detections(boxes, scores, np.zeros(len(scores), np.int32))
        tracks = tracker.update(found, round(index / scene.fps * 1e9))
        rows += [[index, i, *box] for i, box in zip(tracks.ids, tracks.boxes_xyxy, strict=True)]
    np.testing.assert_array_equal(peer.tracks("sightline", path), rows)


def test_every_tracker_of_ours_runs_and_is_timed(peer: Peer, path: Path) -> None:
    assert set(peer.trackers().values()) == {""}
    for tracker in peer.trackers():
        assert np.isfinite(peer.frame_us(tracker, path))


def test_an_error_names_the_tracker_and_the_next_request_is_answered(
    peer: Peer, path: Path
) -> None:
    with pytest.raises(PeerError, match="sightline nobody: KeyError"):
        peer.tracks("nobody", path)
    with pytest.raises(PeerError, match="sightline sort: FileNotFoundError"):
        peer.tracks("sort", path.with_name("nowhere.npz"))
    assert len(peer.tracks("sort", path))


def test_a_library_that_is_not_there_is_told() -> None:
    said = r"(?s)nothing: its process ended with 1: .*libraries\.nothing"
    with Peer("nothing", Path(sys.executable)) as process, pytest.raises(PeerError, match=said):
        process.trackers()


def test_only_what_was_installed_completely_is_used(tmp_path: Path) -> None:
    assert interpreters(None).keys() == {"sightline"}
    for library in ("norfair", "boxmot", "supervision"):
        (tmp_path / library / "bin").mkdir(parents=True)
    (tmp_path / "norfair/installed.txt").write_text("\n".join(REQUIREMENTS["norfair"]) + "\n")
    (tmp_path / "boxmot/installed.txt").write_text("boxmot==1.0\n")
    found = interpreters(tmp_path)
    assert found == {
        "sightline": Path(sys.executable),
        "norfair": tmp_path / "norfair/bin/python",
    }
    assert missing(tmp_path) == (
        "not installed: roboflow, supervision, boxmot. Get them with "
        f"`python -m benchmarks.peers install {tmp_path}`"
    )
    assert missing(None).endswith("then name the folder with --peers")


def test_every_library_has_a_module() -> None:
    modules = Path(environments.__file__).parent / "libraries"
    assert {path.stem for path in modules.glob("[a-z]*.py")} == {"sightline", *REQUIREMENTS}


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_a_place_for_every_table(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = (page.index(f"<!-- tracking {name}: {mark} -->") for mark in ("begin", "end"))
    assert "|" in page[begin:end]


def test_of_one_tracker_with_and_without_the_frame_rate_the_better_is_shown() -> None:
    hota = {"a": 40.0, "a, fps": 41.0, "b": 43.0, "b, fps": 42.0, "c": 41.5}
    assert best_first(hota) == ["b", "c", "a, fps"]


def test_boxes_that_are_inside_out_count_as_empty() -> None:
    table = as_tracks(np.array([[4, 7, 10, 20, 5, 60]], np.float64))
    assert (table.frames[0], table.ids[0]) == (5, 7)
    np.testing.assert_array_equal(table.boxes_xywh, [[11, 21, 0, 40]])


@pytest.mark.assets
def test_perfect_identities_never_switch(assets: Path) -> None:
    found = recordings(assets, Benchmark.MOT15)
    assert len(found) == 6
    best = combine([each.scores(each.perfect()) for each in found]).summary()
    assert best["IDSW"] == 0
    assert best["Precision"] == 100

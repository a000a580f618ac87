"""The tracker on scenes whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.errors import PacketError
from pipeline.tracking import presets
from pipeline.tracking.camera_motion import CameraMotion
from pipeline.tracking.gallery import normalised
from pipeline.tracking.known import Found
from pipeline.tracking.screening import ScreeningSpec
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import Tracks, TrackState
from pipeline.tracking.tracker import Tracker

SECOND = 1_000_000_000
COLUMNS = [field.name for field in fields(Tracks) if field.name != "attributes"]


def found(
    *boxes: Sequence[float], score: float | Sequence[float] = 0.9, label: int | Sequence[int] = 0
) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.broadcast_to(np.float32(score), count).copy(),
        np.broadcast_to(np.int32(label), count).copy(),
    )


def at(x: float, y: float = 100.0, width: float = 40.0, height: float = 100.0) -> list[float]:
    return [x, y, x + width, y + height]


class Scene:
    """Objects that move uniformly, each in a lane of its own."""

    def __init__(self, count: int = 12, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.origin = np.column_stack((rng.uniform(0, 800, count), np.arange(count) * 90.0))
        self.velocity = np.column_stack((rng.uniform(-120, 120, count), np.zeros(count)))
        self.extent = np.array([40.0, 80.0])

    def boxes_xyxy(self, seconds: float) -> np.ndarray:
        corner = self.origin + self.velocity * seconds
        return np.concatenate((corner, corner + self.extent), axis=1)

    def detections(self, pts_ns: int) -> Detections:
        # Noise by time, so that a frame looks the same whichever others are dropped.
        boxes = self.boxes_xyxy(pts_ns / SECOND)
        noise = np.random.default_rng(pts_ns).normal(0, 1.0, boxes.shape)
        return found(*(boxes + noise))

    def truth_of(self, tracks: Tracks, pts_ns: int) -> list[int]:
        """Which object each track covers."""
        centres = self.boxes_xyxy(pts_ns / SECOND)[:, :2]
        distance = np.abs(tracks.boxes_xyxy[:, None, :2] - centres).sum(axis=2)
        assert (distance.min(axis=1) < 15).all()
        return distance.argmin(axis=1).tolist()


def identities(scene: Scene, times_ns: Iterable[int], tracker: Tracker) -> dict[int, set[int]]:
    """The ids each object was given."""
    ids: dict[int, set[int]] = {}
    for pts_ns in times_ns:
        tracks = tracker.update(scene.detections(pts_ns), pts_ns)
        for object_, id_ in zip(scene.truth_of(tracks, pts_ns), tracks.ids.tolist(), strict=True):
            ids.setdefault(object_, set()).add(id_)
    return ids


def frames(fps: float, seconds: float) -> list[int]:
    return [round(i / fps * SECOND) for i in range(round(fps * seconds))]


@pytest.mark.parametrize("motion", ["kalman", "filterpy"])
def test_one_identity_an_object(motion: str) -> None:
    ids = identities(Scene(), frames(25, 4), Tracker(TrackSpec(motion=motion)))
    assert sorted(ids) == list(range(12))
    assert sorted(next(iter(each)) for each in ids.values()) == list(range(1, 13))
    assert all(len(each) == 1 for each in ids.values())


@pytest.mark.parametrize("seed", range(5))
def test_dropping_half_of_the_frames_loses_no_identity(seed: int) -> None:
    every = frames(25, 6)
    kept = [t for t in every if np.random.default_rng([seed, t]).random() < 0.5]
    ids = identities(Scene(seed=seed), kept, Tracker())
    assert len(ids) == 12
    assert all(len(each) == 1 for each in ids.values())


@pytest.mark.parametrize("fps", [5, 12.5, 25, 60])
def test_velocity_does_not_depend_on_the_frame_rate(fps: float) -> None:
    scene, tracker = Scene(), Tracker()
    for pts_ns in frames(fps, 5):
        tracks = tracker.update(scene.detections(pts_ns), pts_ns)
    truth = scene.velocity[scene.truth_of(tracks, pts_ns)]
    assert len(tracks) == 12
    np.testing.assert_allclose(tracks.velocities, truth, atol=10)
    np.testing.assert_allclose(tracks.ages_s, pts_ns / SECOND, rtol=1e-6)


def test_batched_and_reference_filter_give_the_same_tracks() -> None:
    scene = Scene(20)
    ours, reference = Tracker(), Tracker(TrackSpec(motion="filterpy"))
    for pts_ns in frames(10, 3):
        seen = scene.detections(pts_ns)
        kept = seen.take(np.random.default_rng(pts_ns).random(20) < 0.8)
        assert_same(ours.update(kept, pts_ns), reference.update(kept, pts_ns), rtol=1e-5)


def assert_same(a: Tracks, b: Tracks, rtol: float = 0.0) -> None:
    assert a.attributes == b.attributes == {}
    for name in COLUMNS:
        ours, theirs = getattr(a, name), getattr(b, name)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e3 * rtol, err_msg=name)
        assert ours.dtype == theirs.dtype


def crowd(count: int, seed: int, pts_ns: int) -> Detections:
    """Objects everywhere, on top of each other, flickering, with scores from 0 to 1."""
    still = np.random.default_rng(seed)
    corner = still.uniform(0, 1000, (count, 2))
    rng = np.random.default_rng([seed, pts_ns])
    corner = (corner + rng.normal(0, 2, (count, 2)))[rng.random(count) < 0.9]
    boxes = np.concatenate((corner, corner + 60), axis=1).astype(np.float32)
    scores = rng.random(len(boxes)).astype(np.float32)
    return Detections(boxes, scores, rng.integers(0, 3, len(boxes)).astype(np.int32))


@pytest.mark.parametrize("count", [0, 1, 50, 1000])
def test_repeated_runs_are_identical_and_sound(count: int) -> None:
    trackers, given_out = (Tracker(), Tracker()), 0
    for pts_ns in frames(10, 1.5):
        seen = crowd(count, 3, pts_ns)
        first, second = (tracker.update(seen, pts_ns) for tracker in trackers)
        assert_same(first, second)
        assert all(np.isfinite(getattr(first, name)).all() for name in COLUMNS)
        assert (np.diff(first.ids) > 0).all()
        assert (first.boxes_xyxy[:, 2:] > first.boxes_xyxy[:, :2]).all()
        given_out += len(first)
    assert (given_out > 0) == (count > 0)


def test_a_track_names_the_detection_it_was_matched_with() -> None:
    tracker, seen_again, predicted = Tracker(TrackSpec(extrapolate_score=0.3)), 0, 0
    for pts_ns in frames(10, 3):
        seen = crowd(50, 3, pts_ns)
        tracks = tracker.update(seen, pts_ns)
        assert tracks.detections is not None
        matched = tracks.detections >= 0
        assert (matched == (tracks.unseen_s == 0)).all()
        chosen = tracks.detections[matched]
        assert len(np.unique(chosen)) == len(chosen)
        np.testing.assert_array_equal(seen.scores[chosen], tracks.scores[matched])
        seen_again += matched.sum()
        predicted += len(matched) - matched.sum()
    assert seen_again > 100
    assert predicted > 10
    coasting = tracker.coast(10 * SECOND).detections
    assert coasting is not None
    assert (coasting == -1).all()


def test_detections_are_not_changed_and_tracks_are_not_views() -> None:
    tracker, seen = Tracker(), found(at(0))
    for array in (seen.boxes_xyxy, seen.scores, seen.labels):
        array.flags.writeable = False
    tracks = tracker.update(seen, 0)
    before = tracks.boxes_xyxy.copy()
    tracker.update(found(at(20)), SECOND // 10)
    np.testing.assert_array_equal(tracks.boxes_xyxy, before)
    assert tracks.unseen_s.tolist() == [0]


def test_life_of_a_track() -> None:
    spec = TrackSpec(min_hits=3, max_lost_s=1.0)
    tracker = Tracker(spec)
    tracker.update(found(), 0)
    ids = [tracker.update(found(at(0)), t * SECOND // 10).ids.tolist() for t in (1, 2, 3)]
    assert ids == [[], [], [1]], "given out with the third hit"
    assert not len(tracker.update(found(), 4 * SECOND // 10)), "lost tracks are not given out"
    again = tracker.update(found(at(0)), 13 * SECOND // 10)
    assert (again.ids.tolist(), again.states.tolist()) == ([1], [TrackState.CONFIRMED])
    gone = tracker.update(found(at(0)), 24 * SECOND // 10)
    assert not len(gone), "unseen for longer than max_lost_s, so this is a new, tentative one"
    tracker.update(found(at(0)), 25 * SECOND // 10)
    assert tracker.update(found(at(0)), 26 * SECOND // 10).ids.tolist() == [2]


def test_first_frame_confirms_at_once_even_after_blind_ones() -> None:
    tracker = Tracker()
    assert not len(tracker.coast(0))
    assert tracker.update(found(at(0), at(200)), SECOND).ids.tolist() == [1, 2]
    assert tracker.update(found(at(0), at(200), at(400)), 2 * SECOND).ids.tolist() == [1, 2]


def test_a_miss_ends_a_tentative_track() -> None:
    tracker = Tracker(TrackSpec(min_hits=3))
    seen: list[list[int]] = []
    for t, detections in enumerate(
        [found(), found(at(0)), found(at(0)), found()] + [found(at(0))] * 3
    ):
        seen.append(tracker.update(detections, t * SECOND // 10).ids.tolist())
    assert seen == [[]] * 6 + [[2]], "the id of the ended one is not used again"


def test_coasting_predicts_and_misses_nothing() -> None:
    tracker = Tracker(TrackSpec(max_lost_s=2.0))
    for t in range(10):
        tracker.update(found(at(10.0 * t)), t * SECOND // 10)
    tracker.update(found(at(100), at(300)), SECOND)
    coasted = [tracker.coast(SECOND + t * SECOND // 10) for t in range(1, 11)]
    assert [tracks.ids.tolist() for tracks in coasted] == [[1]] * 10
    last = coasted[-1]
    assert last.states.tolist() == [TrackState.CONFIRMED]
    assert last.unseen_s == pytest.approx([1.0])
    assert last.boxes_xyxy[0] == pytest.approx(at(200), abs=8)
    after = [tracker.update(found(at(210 + t), at(300)), (21 + t) * SECOND // 10) for t in (0, 1)]
    assert after[0].ids.tolist() == [1]
    assert after[1].ids.tolist() == [1, 2], "the tentative track outlived the blindness too"


def test_coasting_for_too_long_ends_a_track() -> None:
    tracker = Tracker(TrackSpec(max_lost_s=1.0))
    tracker.update(found(at(0)), 0)
    assert len(tracker.coast(SECOND)) == 1
    assert len(tracker.coast(SECOND + 1)) == 0


@pytest.mark.parametrize("pts_ns", [SECOND, SECOND - 1])
@pytest.mark.parametrize("coast", [False, True])
def test_time_may_not_go_back(pts_ns: int, coast: bool) -> None:
    tracker = Tracker()
    before = tracker.update(found(at(0)), SECOND)
    with pytest.raises(PacketError, match=f"above the last frame's {SECOND}, got {pts_ns}"):
        tracker.coast(pts_ns) if coast else tracker.update(found(at(500)), pts_ns)
    predicted = np.full(len(before), -1, np.int32)
    assert_same(tracker.coast(SECOND + 1), replace(before, detections=predicted), rtol=1e-6)


def test_a_low_score_holds_a_track_but_starts_none() -> None:
    tracker = Tracker(TrackSpec(min_hits=1))
    tracker.update(found(at(0)), 0)
    for t in range(1, 5):
        tracks = tracker.update(found(at(0), at(300), score=0.3), t * SECOND // 10)
        assert tracks.ids.tolist() == [1]
        assert tracks.scores == pytest.approx([0.3])


def test_without_the_low_round_a_low_score_holds_nothing() -> None:
    tracker = Tracker(TrackSpec(association=("high",)))
    tracker.update(found(at(0)), 0)
    assert not len(tracker.update(found(at(0), score=0.3), SECOND // 10))


def test_scores_below_low_score_are_ignored() -> None:
    tracker = Tracker(TrackSpec(low_score=0.2))
    tracker.update(found(at(0)), 0)
    assert not len(tracker.update(found(at(0), score=0.15), SECOND // 10))


def test_class_by_vote() -> None:
    tracker, labels = Tracker(), []
    for t, (label, score) in enumerate([(2, 0.7), (7, 0.9), (2, 0.8), (7, 0.8), (7, 0.9)]):
        tracks = tracker.update(found(at(0), label=label, score=score), t * SECOND // 10)
        assert tracks.ids.tolist() == [1]
        labels += tracks.labels.tolist()
    assert labels == [2, 7, 2, 7, 7]


@pytest.mark.parametrize(("penalty", "ids"), [(0.0, [1]), (0.2, [1]), (1.0, [])])
def test_class_penalty(penalty: float, ids: list[int]) -> None:
    tracker = Tracker(TrackSpec(class_penalty=penalty))
    tracker.update(found(at(0), label=0), 0)
    assert tracker.update(found(at(0), label=1), SECOND // 10).ids.tolist() == ids


def test_the_same_class_comes_first() -> None:
    tracker = Tracker()
    tracker.update(found(at(0), label=0), 0)
    tracks = tracker.update(found(at(2), at(4), label=[1, 0]), SECOND // 10)
    assert tracks.labels.tolist() == [0]
    assert tracks.boxes_xyxy[0, 0] > 2.5


@pytest.mark.parametrize(
    ("rule", "visible"),
    [
        ({"min_score": 0.6}, [1, 2]),
        ({"min_score": 0.8}, [1]),
        ({"min_area": 2000.0}, [1]),
        ({"min_area": 2000.0, "min_score": 0.95}, []),
    ],
)
def test_screening(rule: dict[str, float], visible: list[int]) -> None:
    tracker = Tracker(TrackSpec(screening=ScreeningSpec(**rule)))
    for t in range(4):
        seen = found(at(0), at(300, width=20, height=50), score=[0.9, 0.75])
        assert tracker.update(seen, t * SECOND // 10).ids.tolist() == visible


def looks(*kinds: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(kinds)]


def test_reid_gives_a_lost_track_its_identity_back() -> None:
    tracker = Tracker(TrackSpec(max_lost_s=10))
    for t in range(30):
        tracker.update(found(at(0), at(200)), (t - 27) * SECOND // 10, looks(0, 1))
    tracker.update(found(), SECOND, np.empty((0, 4), np.float32))
    back = tracker.update(found(at(900), at(700), at(500)), 2 * SECOND, looks(1, 0, 2))
    assert back.ids.tolist() == [1, 2]
    assert back.boxes_xyxy[:, 0] == pytest.approx([700, 900], abs=60)


@pytest.mark.parametrize(
    ("why", "spec", "label"),
    [
        ("the round is not asked for", TrackSpec(association=("high", "low")), 0),
        ("another class", TrackSpec(), 1),
        ("the gate", TrackSpec(rounds={"reid": {"at_least": 0.9}}), 0),
    ],
)
def test_no_reid(why: str, spec: TrackSpec, label: int) -> None:
    tracker = Tracker(spec)
    tracker.update(found(at(0)), 0, looks(0))
    tracker.update(found(), SECOND // 10, np.empty((0, 4), np.float32))
    alike = np.array([[0.8, 0.6, 0, 0]], np.float32)
    assert not len(tracker.update(found(at(600), label=label), SECOND, alike)), why


@pytest.mark.parametrize(
    ("why", "seconds", "keys", "ids"),
    [
        ("remembered", 30, {}, [1]),
        ("for too long", 61, {}, []),
        ("not asked for", 30, {"association": ["high", "low", "reid"]}, []),
        ("another's looks", 30, {"rounds": {"recall": {"at_least": 1.0}}}, []),
    ],
)
def test_looks_are_remembered(why: str, seconds: int, keys: dict[str, Any], ids: list[int]) -> None:
    tracker = Tracker(TrackSpec(**keys))
    for k in range(10):
        tracker.update(found(at(20.0 * k)), k * SECOND // 10, looks(0))
    for k in range(1, seconds):
        assert not len(tracker.update(found(), (1 + k) * SECOND, looks()))
    alike = np.array([[0.95, 0.31, 0, 0]], np.float32)
    assert tracker.update(found(at(500)), (1 + seconds) * SECOND, alike).ids.tolist() == ids, why


def test_a_remembered_track_is_not_met_by_its_box() -> None:
    tracker = Tracker()
    for k in range(10):
        tracker.update(found(at(0)), k * SECOND // 10, looks(0))
    for k in range(10, 50):
        tracker.update(found(), k * SECOND // 10, looks())
    assert len(tracker) == 1
    tracker.update(found(at(0)), 5 * SECOND, looks(1))
    assert len(tracker) == 2


def test_embeddings_may_start_late() -> None:
    tracker = Tracker()
    tracker.update(found(at(0)), 0)
    tracker.update(found(at(200)), SECOND // 10, looks(0))
    assert tracker.update(found(at(0)), SECOND // 5, looks(1)).ids.tolist() == [1]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_box_that_goes_out_lies_between_the_filters_and_the_detectors(share: float) -> None:
    boxes = {}
    for given in (0.0, share):
        tracker = Tracker(TrackSpec(min_hits=1, measured_share=given))
        for frame in range(40):
            tracker.update(found(at(100)), frame * SECOND // 25)
        boxes[given] = tracker.update(found(at(100, width=50.0)), 40 * SECOND // 25).boxes_xyxy[0]
        assert (
            tracker.coast(41 * SECOND // 25).boxes_xyxy[0, 2] < 150
        )  # a prediction is the filter's
    filtered = boxes[0.0]
    assert 140 < filtered[2] < 149
    expected = filtered + share * (np.array(at(100, width=50.0)) - filtered)
    assert boxes[share] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", presets.NAMES)
def test_presets_follow_a_scene(name: str) -> None:
    ids = identities(Scene(), frames(25, 4), Tracker(TrackSpec(preset=name)))
    assert sorted(ids) == list(range(12))
    assert all(len(each) == 1 for each in ids.values())


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_restored_tracker_goes_on_to_the_last_bit(name: str) -> None:
    def step(tracker: Tracker, k: int) -> Tracks:
        seen, pts_ns = crowd(40, 5, k), k * SECOND // 10
        turned = np.random.default_rng(k).normal(size=(len(seen), 8)).astype(np.float32)
        return tracker.update(seen, pts_ns, normalised(turned))

    spec = TrackSpec(preset=name)
    whole, given_out = Tracker(spec), 0
    for k in range(12):
        step(whole, k)
    saved = whole.saved()
    frozen = {key: array.copy() for key, array in saved.items()}
    second = Tracker(spec)
    second.restore(saved)
    for k in range(12, 24):
        tracks = step(whole, k)
        assert_same(step(second, k), tracks)
        given_out += len(tracks)
    assert given_out
    for key, array in frozen.items():
        np.testing.assert_array_equal(saved[key], array, err_msg=key)


@pytest.mark.parametrize("name", presets.NAMES)
def test_the_steps_apart_give_what_they_give_together(name: str) -> None:
    spec, shifts = TrackSpec(preset=name, common_motion=True, far_s=1.0), 0
    whole, state = Tracker(spec), Tracker(spec).saved()
    for k, pts_ns in enumerate(frames(25, 2)):
        seen = Scene().detections(pts_ns).take(np.arange(12) != k % 12)
        shake = np.tile(np.random.default_rng(k).normal(0, 9, 2), 2).astype(np.float32)
        seen = replace(seen, boxes_xyxy=seen.boxes_xyxy + shake)
        predicting, matching, applying = (Tracker(spec) for _ in range(3))
        predicting.restore(state)
        step = predicting.predict(pts_ns)
        state = predicting.saved()
        matching.restore(state)
        match = matching.match(step, Found(seen, None))
        for key, array in matching.saved().items():
            np.testing.assert_array_equal(array, state[key], err_msg=key)
        applying.restore(state)
        assert_same(applying.apply(Found(seen, None), match), whole.update(seen, pts_ns))
        state = applying.saved()
        shifts += match.shift.any()
    assert shifts > 3
    for key, array in whole.saved().items():
        np.testing.assert_array_equal(array, state[key], err_msg=key)


def test_a_tracker_that_saw_nothing_can_be_saved() -> None:
    second = Tracker()
    second.restore(Tracker().saved())
    assert second.update(found(at(0)), 0).ids.tolist() == [1]


def test_recent_tracks_choose_first() -> None:
    """DeepSORT's cascade: of two tracks that look alike, the one seen last gets the detection."""
    rounds = {"looks": {"similarity": "cosine", "at_least": 0.5, "recent_first": True}}
    rounds["boxes"] = {"tracks": ["tentative", "confirmed"], "at_least": 0.3}
    tracker = Tracker(TrackSpec(association=["looks", "boxes"], rounds=rounds, max_lost_s=10))
    faint = np.array([[0.8, 0.6, 0, 0]], np.float32)
    tracker.update(found(at(0), at(300)), 0, np.concatenate((looks(0), faint)))
    tracker.update(found(at(300)), SECOND, faint)
    assert tracker.update(found(at(900)), 2 * SECOND, looks(0)).ids.tolist() == [2]


def test_where_a_track_was_last_seen() -> None:
    """OC-SORT's recovery: one that stops while hidden is not where the filter expects it."""
    ids = {}
    for boxes in ("predicted", "observed"):
        spec = TrackSpec(
            preset="ocsort", association=["observed"], rounds={"observed": {"boxes": boxes}}
        )
        tracker = Tracker(spec)
        for k in range(10):
            tracker.update(found(at(20.0 * k)), k * SECOND // 10)
        tracker.update(found(), 14 * SECOND // 10)
        ids[boxes] = tracker.update(found(at(190)), 15 * SECOND // 10).ids.tolist()
    assert ids == {"predicted": [], "observed": [1]}


def test_a_moving_camera() -> None:
    """The picture jumps by more than a box; the tracks jump with it."""
    tracker = Tracker()
    for k in range(4):
        tracker.update(found(at(0), at(200)), k * SECOND // 10)
    jump = CameraMotion(np.array([[1.0, 0, 100], [0, 1, -60]]), 3 * SECOND // 10)
    seen = found(at(100, 40), at(300, 40))
    tracks = tracker.update(seen, 4 * SECOND // 10, camera_motion=jump)
    assert tracks.ids.tolist() == [1, 2]
    np.testing.assert_allclose(tracks.velocities, 0, atol=1)
    late = CameraMotion(jump.matrix, 0)  # of a frame long ago: not since the last one
    assert tracker.coast(5 * SECOND // 10, late).boxes_xyxy[:, 0] == pytest.approx([100, 300])


def test_a_track_is_looked_for_once_however_short_its_memory() -> None:
    tracker = Tracker(TrackSpec(max_lost_s=0))
    assert tracker.update(found(at(0)), 0).ids.tolist() == [1]
    assert tracker.update(found(at(2)), SECOND // 5).ids.tolist() == [1]
    assert not len(tracker.update(found(), 2 * SECOND // 5))
    assert not len(tracker.update(found(at(4)), 3 * SECOND // 5))


def test_looks_decide_between_overlapping_boxes() -> None:
    """Two people cross: by boxes alone each would get the other's."""
    for weight, expected in ((0.0, [0.0, 12.0]), (0.8, [12.0, 0.0])):
        tracker = Tracker(TrackSpec(rounds={"high": {"appearance": weight}}))
        tracker.update(found(at(0), at(12)), 0, looks(0, 1))
        tracks = tracker.update(found(at(0), at(12)), SECOND // 25, looks(1, 0))
        assert tracks.ids.tolist() == [1, 2]
        assert tracks.boxes_xyxy[:, 0] == pytest.approx(expected, abs=5)


def test_an_embedding_that_was_not_made_says_nothing() -> None:
    with_looks, without = Tracker(), Tracker()
    for k in range(3):
        seen, pts_ns = found(at(3.0 * k), at(12 + 3.0 * k)), k * SECOND // 25
        assert_same(
            with_looks.update(seen, pts_ns, np.zeros((2, 4), np.float32)),
            without.update(seen, pts_ns),
        )


def test_twins_are_not_found_again() -> None:
    """Of two that look alike nobody knows which one came back."""
    for second, ids in ((1, [1]), (0, [])):
        tracker = Tracker(TrackSpec(max_lost_s=10))
        tracker.update(found(at(0), at(300)), 0, looks(0, second))
        tracker.update(found(), SECOND // 10, np.empty((0, 4), np.float32))
        assert tracker.update(found(at(900)), SECOND, looks(0)).ids.tolist() == ids


@pytest.mark.parametrize(
    ("step_s", "far_s", "ids"), [(0.1, 0.2, []), (0.8, 0.2, [1]), (0.8, 0, [])]
)
def test_gates_loosen_where_frames_are_far_apart(
    step_s: float, far_s: float, ids: list[int]
) -> None:
    """A box that overlaps where it was expected by a tenth: in time it would have been there."""
    tracker, step = Tracker(TrackSpec(far_s=far_s)), round(step_s * SECOND)
    for k in range(6):
        tracker.update(found(at(100)), k * step)
    assert tracker.update(found(at(133)), 6 * step).ids.tolist() == ids

"""When tracks are confirmed, and when their time is over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker

SECOND = 1_000_000_000
EMPTY = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))


def one(score: float) -> Detections:
    box = np.array([[100, 100, 140, 200]], np.float32)
    return Detections(box, np.array([score], np.float32), np.zeros(1, np.int32))


def hits_until_confirmed(score: float, **keys: Any) -> int:
    tracker = Tracker(TrackSpec(**keys))
    tracker.update(EMPTY, -SECOND)  # in the first frame all are confirmed at once
    for k in range(20):
        if len(tracker.update(one(score), k * SECOND // 25)):
            return k + 1
    return 0


@pytest.mark.parametrize(
    ("score", "keys", "hits"),
    [
        (0.62, {}, 3),  # 3 hits come before 5 nats
        (0.62, {"min_hits": 9}, 6),
        (0.85, {"min_hits": 9}, 3),
        (0.92, {}, 2),
        (0.9999, {}, 1),
        (0.9999, {"evidence": 0.0}, 3),
        (0.9999, {"evidence": 20.0}, 3),  # nothing is surer than 1 in 1000
        (0.62, {"min_hits": 2}, 2),
        (0.62, {"min_hits": 1}, 1),
    ],
)
def test_confirmed_by_hits_or_evidence(score: float, keys: dict[str, Any], hits: int) -> None:
    assert hits_until_confirmed(score, **keys) == hits


@pytest.mark.parametrize(
    ("lived_s", "away_s", "keys", "kept"),
    [
        (4.0, 1.9, {}, True),
        (4.0, 2.1, {}, False),
        (1.0, 1.1, {}, True),
        (1.0, 1.3, {}, False),
        (1.0, 1.3, {"lost_per_age": 0.0}, True),
        (1.0, 1.3, {"lost_per_age": 2.0}, True),
        (4.0, 2.1, {"max_lost_s": 3.0}, True),
    ],
)
def test_lost_no_longer_than_it_lived(
    lived_s: float, away_s: float, keys: dict[str, Any], kept: bool
) -> None:
    tracker, step = Tracker(TrackSpec(**keys)), SECOND // 20
    last = round(lived_s * 20)
    for k in range(last + 1):
        tracker.update(one(0.9), k * step)
    for k in range(1, round(away_s * 20)):
        tracker.update(EMPTY, (last + k) * step)
    tracks = tracker.update(one(0.9), (last + round(away_s * 20)) * step)
    assert tracks.ids.tolist() == ([1] if kept else [])


def test_looks_keep_a_track_that_lived_for_a_moment() -> None:
    for looks, ids in ((None, []), (np.array([[1.0, 0.0]], np.float32), [1])):
        tracker = Tracker()
        for k in range(5):
            tracker.update(one(0.9), k * SECOND // 20, looks)
        tracker.update(EMPTY, SECOND)
        assert tracker.update(one(0.9), 3 * SECOND // 2).ids.tolist() == ids

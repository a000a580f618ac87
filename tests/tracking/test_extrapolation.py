"""Lost tracks that are given out a little longer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.track import TrackState
from pipeline.tracking.tracker import Tracker

FRAME_NS = 40_000_000


def seen(x: float, score: float = 0.95, height: float = 100.0) -> Detections:
    """A walker, between two that stand at the edges of the picture."""
    boxes = np.array(
        [[x, 100, x + 40, 100 + height], [0, 50, 40, 250], [600, 50, 640, 250]], np.float32
    )
    return Detections(boxes, np.full(3, score, np.float32), np.zeros(3, np.int32))


def given_out(missed: int, frames: int = 20, grows: float = 0.0, **what: Any) -> list[float]:
    """The left edges of the walker's boxes in the frames in which it is not detected."""
    spec = TrackSpec(**what.pop("spec", {}))
    speed, start = what.pop("speed", 4.0), what.pop("start", 100.0)
    tracker = Tracker(spec)
    for k in range(frames):
        tracker.update(seen(start + speed * k, height=100 + grows * k, **what), k * FRAME_NS)
    lefts = []
    for k in range(frames, frames + missed):
        others = seen(0).take(np.array([1, 2]))
        tracks = tracker.update(others, k * FRAME_NS)
        late = tracks.unseen_s > 0
        assert tracks.ids[~late].tolist() == [2, 3]
        assert (tracks.states[late] == TrackState.LOST).all()
        lefts += tracks.boxes_xyxy[late, 0].tolist()
    return lefts


def test_a_walker_is_given_out_where_it_is_expected() -> None:
    lefts = given_out(20)
    assert len(lefts) == 12  # half a second
    assert lefts == pytest.approx([100 + 4.0 * k for k in range(20, 32)], abs=4)


@pytest.mark.parametrize(
    ("why", "case"),
    [
        ("switched off", {"spec": {"extrapolate_s": 0.0}}),
        ("not sure enough", {"score": 0.85}),
        ("hardly known", {"frames": 3}),
        ("growing", {"grows": 4.0}),
        ("leaving the picture", {"start": 530.0}),
    ],
)
def test_what_is_not_given_out(why: str, case: dict[str, Any]) -> None:
    assert len(given_out(15, **case)) <= 4, why


def test_nobody_is_extrapolated_in_a_frame_that_nobody_looked_at() -> None:
    tracker = Tracker()
    for k in range(20):
        tracker.update(seen(100.0), k * FRAME_NS)
    tracker.update(seen(0).take(np.array([1, 2])), 20 * FRAME_NS)
    assert tracker.coast(21 * FRAME_NS).ids.tolist() == [2, 3]

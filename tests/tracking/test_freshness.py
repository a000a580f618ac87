"""Which detections are due to be looked at."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.tracking.freshness import CONTINUES, GAP_S, MEETS, YOUNG_S, Freshness

Boxes = NDArray[np.float32]


def person(x: float, y: float = 100) -> list[float]:
    return [x, y, x + 40, y + 100]


def due(freshness: Freshness, seconds: float, *boxes: list[float]) -> list[bool]:
    found = np.array(boxes, np.float32).reshape(-1, 4)
    mask: list[bool] = freshness.due(found, round(seconds * 1e9)).tolist()
    return mask


def looks(fps: int, refresh_s: float, seconds: float) -> list[float]:
    """When a walker alone is looked at."""
    freshness = Freshness(refresh_s)
    times = [k / fps for k in range(1, round(seconds * fps) + 1)]
    return [t for t in times if due(freshness, t, person(20 * t)) == [True]]


def test_one_alone_is_looked_at_when_young_and_then_as_often_as_asked() -> None:
    times = looks(fps=25, refresh_s=1.0, seconds=5)
    young = [t for t in times if t <= 0.04 + YOUNG_S]
    assert young == pytest.approx([0.04, 0.08, 0.12, 0.16, 0.20])
    later = times[len(young) - 1 :]
    assert [b - a for a, b in pairwise(later)] == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("fps", [5, 10, 25, 50])
def test_frames_do_not_count_but_time_does(fps: int) -> None:
    times = looks(fps, refresh_s=2.0, seconds=9)
    later = [t for t in times if t > 1 / fps + YOUNG_S]
    assert len(later) == 4
    assert [b - a for a, b in pairwise(later)] == pytest.approx([2.0] * 3)


def settled(*xs: float) -> Freshness:
    """What is known after half a second of people who stand at these places."""
    freshness = Freshness(10.0)
    for k in range(10):
        due(freshness, 1 + k * 0.05, *map(person, xs))
    return freshness


def test_who_comes_is_due_and_who_was_there_is_not() -> None:
    freshness = settled(0, 300)
    assert due(freshness, 1.5, person(0), person(300)) == [False, False]
    assert due(freshness, 1.55, person(0), person(600), person(300)) == [False, True, False]


def test_who_leaps_is_due() -> None:
    assert due(settled(0, 300), 1.5, person(8), person(320)) == [False, True]


def test_who_meet_are_due_until_they_have_parted_for_a_while() -> None:
    freshness = settled(0, 100, 400)
    answers = []
    for k in range(30):
        shift = min(k, 10) * 10 if k < 15 else max(0, 24 - k) * 10
        answers.append(due(freshness, 1.5 + k * 0.05, person(shift), person(100), person(400)))
    met = [a for a, _, _ in answers]
    assert met == [b for _, b, _ in answers]
    assert not any(c for _, _, c in answers)
    # In frames 7 to 18 one of them is within 30 pixels of where the other is or just was.
    young = round(YOUNG_S / 0.05) - 1
    assert met == [False] * 7 + [True] * (12 + young) + [False] * (11 - young)


def test_after_a_gap_and_when_time_goes_back_all_are_due() -> None:
    assert due(settled(0, 300), 1.45 + GAP_S, person(0), person(300)) == [False, False]
    assert due(settled(0, 300), 1.46 + GAP_S, person(0), person(300)) == [True, True]
    assert due(settled(0, 300), 1.45, person(0), person(300)) == [True, True]
    assert due(settled(0, 300), 0.3, person(0), person(300)) == [True, True]


def test_an_empty_frame_forgets() -> None:
    freshness = settled(0)
    assert due(freshness, 1.5) == []
    assert due(freshness, 1.55, person(0)) == [True]


class SlowFreshness:
    """The rule, pair by pair."""

    def __init__(self, refresh_ns: int) -> None:
        self.refresh_ns = refresh_ns
        self.last: list[tuple[Boxes, int, int]] = []  # box, since, due
        self.pts_ns = 0

    def due(self, boxes: Boxes, pts_ns: int) -> list[bool]:
        near = 0 < pts_ns - self.pts_ns <= GAP_S * 1e9
        last = self.last if near else []
        now = []
        for box in boxes:
            met = [entry for entry in last if iou(entry[0], box) >= MEETS]
            since = due_ns = pts_ns
            if len(met) == 1 and iou(met[0][0], box) >= CONTINUES:
                old = met[0]
                if sum(iou(old[0], other) >= MEETS for other in boxes) == 1:
                    _, since, due_ns = old
            if pts_ns - since < YOUNG_S * 1e9 or pts_ns - due_ns >= self.refresh_ns:
                due_ns = pts_ns
            now.append((box, since, due_ns))
        self.last, self.pts_ns = now, pts_ns
        return [due_ns == pts_ns for _, _, due_ns in now]


def iou(a: Boxes, b: Boxes) -> float:
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a.tolist(), b.tolist()
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    common = max(width, 0) * max(height, 0)
    areas: float = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)
    return common / (areas - common)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 12, 40]))
def test_equal_to_the_rule_pair_by_pair(seed: int, count: int) -> None:
    chance = np.random.default_rng(seed)
    refresh_ns = 300_000_000
    fast, slow = Freshness(refresh_ns / 1e9), SlowFreshness(refresh_ns)
    corners = chance.integers(0, 40 * count, (count, 2))
    pts_ns = 0
    for _ in range(8):
        pts_ns += int(chance.choice([40, 80, 600], p=[0.8, 0.15, 0.05])) * 1_000_000
        corners = corners + chance.integers(-6, 7, corners.shape)
        here = corners[chance.random(count) < 0.9]
        boxes = np.hstack((here, here + np.array((40, 60)))).astype(np.float32)
        assert fast.due(boxes, pts_ns).tolist() == slow.due(boxes, pts_ns)

"""Directions, speeds over ground, stops, and things that were left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.analytics.abandoned import AbandonedSpec
from pipeline.analytics.analyser import AnalysisSpec
from pipeline.analytics.direction import DirectionSpec
from pipeline.analytics.ground import GroundSpec, homography, to_plane
from pipeline.analytics.speed import SpeedSpec
from pipeline.analytics.stop import StopSpec
from tests.analytics.paths import Place, analyses, events, one, told

RIGHT_HALF = ((500, 0), (1000, 0), (1000, 1000), (500, 1000))


def oneway(**keys: Any) -> DirectionSpec:
    """To the right is right. Ways are looked at every 20 pixels."""
    return DirectionSpec.model_validate(
        {"along": ((100, 500), (900, 500)), "unit": "pixels", **keys}
    )


def walk(start: Place, step: Place, count: int) -> list[Place]:
    return [(start[0] + i * step[0], start[1] + i * step[1]) for i in range(count)]


@pytest.mark.parametrize(
    ("step", "wrong", "keys"),
    [
        ((10, 0), 0, {}),
        ((-10, 0), 1, {}),
        ((0, 10), 0, {}),
        ((-10, 10), 1, {}),
        ((-10, 10), 0, {"tolerance": 140}),
        ((10, 10), 1, {"tolerance": 40}),
        ((-0.01, 0), 0, {}),  # creeps
        ((0, 0), 0, {}),
    ],
)
def test_ways_that_are_wrong(step: Place, wrong: int, keys: dict[str, Any]) -> None:
    found = events(oneway(**keys), one(walk((700, 500), step, 20)))
    assert told(found) == ["wrong_way"] * wrong


def test_the_angle_is_told() -> None:
    (event,) = events(oneway(), one(walk((700, 500), (-10, 10), 20)))
    assert event.value == pytest.approx(135)


def test_jitter_is_no_way() -> None:
    chance = np.random.default_rng(3)
    way = [tuple(place) for place in (500 + chance.uniform(-7, 7, (200, 2))).tolist()]
    assert events(oneway(), one(way)) == []


def test_who_turns_round_is_told_again_after_going_right() -> None:
    back = walk((700, 500), (-10, 0), 10)
    way = [*back, *back[::-1], *back]
    assert told(events(oneway(), one(way))) == ["wrong_way", "wrong_way"]


def test_only_where_the_rule_holds() -> None:
    rule = oneway(points=RIGHT_HALF)
    assert events(rule, one(walk((400, 500), (-10, 0), 20))) == []
    assert told(events(rule, one(walk((800, 500), (-10, 0), 20)))) == ["wrong_way"]
    assert events(rule, one(walk((515, 500), (-10, 0), 20))) == [], "too short a way inside"


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_wrong_way_is_found_at_any_frame_rate(every: int) -> None:
    way = walk((900, 500), (-7, 0), 100)[::every]
    assert told(events(oneway(), one(way, every_s=0.04 * every))) == ["wrong_way"]


# A camera that looks down at a road: far is high in the picture.
ROAD = GroundSpec(
    points=((300, 900), (700, 900), (600, 400), (400, 400)),
    metres=((0, 0), (8, 0), (8, 40), (0, 40)),
    unit="pixels",
)


def placed(metres: np.ndarray[Any, np.dtype[np.float64]]) -> list[Place]:
    """Where places on the road are seen."""
    return [tuple(at) for at in to_plane(np.linalg.inv(ROAD.plane(1000, 1000)), metres).tolist()]


def drive(kmh: float, seconds: float, every_s: float = 0.04) -> list[Place]:
    """Away from the camera, in the middle of the road."""
    times = np.arange(0, seconds, every_s)
    return placed(np.stack((np.full(len(times), 4.0), times * kmh / 3.6), axis=1))


def speeds(way: list[Place], every_s: float = 0.04) -> list[float]:
    spec = AnalysisSpec({}, ROAD, 1.0)
    return [float(found.speeds_kmh[0]) for found in analyses(spec, one(way, every_s))]


@pytest.mark.parametrize("every", [1, 2, 5])
def test_an_even_speed_is_measured_exactly(every: int) -> None:
    found = np.array(speeds(drive(50, 2.4)[::every], 0.04 * every))
    known = ~np.isnan(found)
    assert known.tolist() == [i * 0.04 * every >= 1 for i in range(len(found))]
    assert found[known] == pytest.approx(50, abs=0.01)


def test_jitter_does_not_make_a_speed() -> None:
    """Who stands 5 m away, detected within 2 pixels, at 25 frames a second."""
    chance = np.random.default_rng(1)
    (still,) = placed(np.array([[4.0, 5.0]]))
    way = [tuple(still + chance.normal(0, 1, 2)) for _ in range(200)]
    found = np.array(speeds(way))[30:]
    assert found.max() < 2.5
    single_steps = np.hypot(*np.diff(to_plane(ROAD.plane(1000, 1000), np.array(way)), axis=0).T)
    assert (single_steps / 0.04 * 3.6).mean() > 3, "from frame to frame it would seem to run"


def test_who_is_too_fast_is_told_once() -> None:
    rule = SpeedSpec(limit_kmh=45)
    spec = AnalysisSpec({"a": rule}, ROAD, 1.0)
    found = [e for a in analyses(spec, one(drive(50, 2.4))) for e in a.events]
    assert told(found) == ["speeding"]
    assert found[0].value == pytest.approx(50, abs=0.1)
    assert not [e for a in analyses(spec, one(drive(40, 2.4))) for e in a.events]


def test_beyond_the_horizon_there_is_no_speed() -> None:
    sky = [(500.0, i - 200.0) for i in range(60)]
    assert np.isnan(speeds(sky)).all()


@settings(max_examples=30)
@given(st.integers(4, 12), st.floats(0, 2), st.integers(0, 10_000))
def test_the_ground_in_least_squares(count: int, noise: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    grid = [(0, 0), (8, 0), (8, 40), (0, 40)]
    metres = np.concatenate((grid, chance.uniform((0, 0), (8, 40), (count - 4, 2))))
    seen = np.array(placed(metres))
    exact = homography(seen, metres)
    assert to_plane(exact, seen) == pytest.approx(metres, abs=1e-6)
    off = seen + chance.uniform(-noise, noise, seen.shape)
    assert np.hypot(*(to_plane(homography(off, metres), off) - metres).T).max() < 1 + 3 * noise


@pytest.mark.parametrize(
    ("points", "metres", "complaint"),
    [
        ([[0.1, 0.1]] * 3, [[0, 0]] * 3, "points"),
        ([[0.1, 0.1]] * 4, [[0, 0]] * 4, "on one line"),
        ([[0, 0], [0.1, 0.1], [0.2, 0.2], [1, 1]], [[0, 0], [1, 0], [1, 1], [0, 1]], "one line"),
        ([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 0], [1, 0], [1, 1]], "metres"),
        ([[0, 0], [1, 0], [1, 1], [0, 1], [1, 0.5]], [[0, 0], [1, 0], [1, 1], [0, 1]], "as many"),
        ([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 0], [1, 0], [0, 1], [1, 1]], "same order"),
    ],
)  # fmt: skip
def test_what_is_no_ground(points: list[Any], metres: list[Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GroundSpec.model_validate({"points": points, "metres": metres})


def test_who_stands_is_told_once_a_stand() -> None:
    rule = StopSpec(for_s=3)
    way = [*walk((100, 500), (20, 0), 5), *[(200, 500)] * 8, (250, 500), *[(300, 500)] * 8]
    found = [(e.kind, e.pts_ns / 1e9) for e in events(rule, one(way, every_s=0.5))]
    assert found == [("stop", 5.5), ("stop", 10.0)]


def test_who_sways_stands_and_who_creeps_does_not() -> None:
    rule = StopSpec(for_s=2)
    chance = np.random.default_rng(2)
    swaying = [tuple(at) for at in (500 + chance.uniform(-4, 4, (60, 2))).tolist()]
    assert told(events(rule, one(swaying, every_s=0.1))) == ["stop"]
    assert events(rule, one(walk((500, 500), (1, 0), 60), every_s=0.1)) == []


def test_who_is_hidden_meanwhile_still_stands() -> None:
    frames: list[tuple[float, Mapping[int, Place]]] = [
        (0.0, {1: (500, 500)}),
        (0.5, {1: (500, 500)}),
        (1.0, {}),
        (2.2, {1: (501, 500)}),
    ]
    (event,) = events(StopSpec(for_s=2), frames)
    assert event.pts_ns == 2_000_000_000


PERSON, BAG = 0, 1
BAGGAGE = AbandonedSpec(classes=(BAG,), by=(PERSON,), for_s=5)
BAG_AT = (500, 500, BAG)


def scene(
    seconds: float, person: Mapping[int, tuple[float, float, float]]
) -> Iterator[tuple[float, Mapping[int, Place]]]:
    """Track 9 is a bag; persons, by id, are there from and until a time, so far from it."""
    for index in range(round(seconds * 4)):
        now = index / 4
        here = {i: (500 + x, 500, PERSON) for i, (x, a, b) in person.items() if a <= now < b}
        yield now, {9: BAG_AT, **here}


def left(seconds: float, person: Mapping[int, tuple[float, float, float]]) -> list[float]:
    """When the bag was told as abandoned."""
    found = events(BAGGAGE, scene(seconds, person))
    assert {(e.kind, e.track, e.label) for e in found} <= {("abandoned", 9, BAG)}
    return [event.pts_ns / 1e9 for event in found]


def test_a_bag_with_its_owner_is_not_abandoned() -> None:
    assert left(20, {1: (20, 0, 99)}) == []


def test_a_bag_is_abandoned_when_its_owner_was_away_for_long_enough() -> None:
    # The track ends at 3 s and is given up at 5 s.
    assert left(20, {1: (20, 0, 3)}) == [pytest.approx(10, abs=0.3)]
    assert left(9, {1: (20, 0, 3)}) == []


def test_somebody_else_who_passes_changes_nothing() -> None:
    assert left(20, {1: (20, 0, 3), 2: (30, 7, 9)}) == [pytest.approx(10, abs=0.3)]
    assert left(20, {1: (20, 0, 3), 2: (200, 0, 99)}) == [pytest.approx(10, abs=0.3)]


def test_a_track_of_the_owner_that_breaks_off_is_taken_up_by_who_is_there() -> None:
    assert left(20, {1: (20, 0, 3), 2: (20, 3.5, 99)}) == []


def test_a_bag_that_nobody_brought() -> None:
    assert left(20, {}) == [5.0]


def test_the_owner_who_comes_back_may_leave_again() -> None:
    away = {1: (20, 0, 99)}
    frames = [
        (now, {9: BAG_AT, 1: (700 if 2 <= now < 9 or now >= 11 else 520, 500, PERSON)})
        for now, _ in scene(20, away)
    ]
    assert [e.pts_ns / 1e9 for e in events(BAGGAGE, frames)] == [7.0, 16.0]


def test_a_bag_that_is_carried_is_not_alone() -> None:
    frames = [(i / 4, {9: (300 + 25 * i, 500, BAG)}) for i in range(28)]
    assert events(BAGGAGE, frames) == []

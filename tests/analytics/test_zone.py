"""Zones and crowds: who enters, leaves, stays for too long; how many are too many."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.analytics.analyser import Analyser, AnalysisSpec, View
from pipeline.analytics.crowd import CrowdSpec
from pipeline.analytics.zone import ZoneSpec
from pipeline.tracking.zones import in_polygon
from tests.analytics.paths import VIEW, Frames, Place, analyses, events, one, told, tracks

SQUARE = ((400, 400), (600, 400), (600, 600), (400, 600))
STAR = ((500, 300), (600, 700), (300, 450), (700, 450), (400, 700))  # crosses itself
OUT, IN = (500, 300), (500, 500)


def zone(*points: Place, **keys: Any) -> ZoneSpec:
    """A zone in pixels."""
    return ZoneSpec.model_validate({"points": points or SQUARE, "unit": "pixels", **keys})


@pytest.mark.parametrize(
    ("way", "kinds"),
    [
        ([OUT, IN], ["enter"]),
        ([IN, OUT], ["enter", "leave"]),
        ([OUT, IN, OUT], ["enter", "leave"]),
        ([OUT, (500, 700)], ["enter", "leave"]),  # through it in one step
        ([(300, 300), (300, 700)], []),
        ([OUT, (500, 399)], []),
        ([OUT, (500, 401), (500, 399), (500, 403), OUT], []),  # jitter at the border
        ([OUT, IN, (500, 399), (500, 401), IN], ["enter"]),
        ([(500, 400)], ["enter"]),  # the border is inside
        ([(400, 400)], ["enter"]),
        ([(500, 403), (500, 398), (500, 402)], ["enter"]),  # it began inside
        ([(500, 398), (500, 402), (500, 398)], []),  # it began outside
        ([(300, 300), (400, 400), (500, 500)], ["enter"]),  # through a corner
        ([(300, 500), (400, 600), (500, 700)], []),  # only touches it
        ([(300, 400), (700, 400)], []),  # along an edge
    ],
)
def test_ways(way: list[Place], kinds: list[str]) -> None:
    assert told(events(zone(), one(way))) == kinds


def test_dwelling_is_measured_between_the_moments_of_the_border() -> None:
    enter, leave = events(zone(), one([(500, 300), (500, 500), (500, 700)], every_s=1.0))
    assert (enter.pts_ns, enter.at) == (500_000_000, (500, 400))
    assert (leave.pts_ns, leave.at, leave.value) == (1_500_000_000, (500, 600), 1.0)


def test_tallies() -> None:
    frames = [(0.0, {1: OUT, 2: IN}), (0.1, {1: IN, 2: IN}), (0.2, {1: IN, 2: OUT})]
    found = analyses(AnalysisSpec({"a": zone()}), frames)
    assert [tuple(analysis.tallies["a"].values()) for analysis in found] == [
        (1, 1, 0),
        (2, 2, 0),
        (1, 2, 1),
    ]
    assert list(found[0].tallies["a"]) == ["inside", "entered", "left"]


def test_who_is_lost_inside_leaves_when_the_tracker_gives_it_up() -> None:
    frames: Frames = [(0.0, {1: OUT}), (1.0, {1: IN}), (1.5, {1: IN}), (3.5, {}), (3.6, {})]
    found = analyses(AnalysisSpec({"a": zone()}), frames)
    assert [analysis.tallies["a"]["inside"] for analysis in found] == [0, 1, 1, 1, 0]
    (leave,) = found[-1].events
    assert (leave.kind, leave.pts_ns, leave.at) == ("leave", 3_500_000_000, IN)
    assert leave.value == pytest.approx(1.0), "it was seen there from 0.5 s to 1.5 s"


def test_the_same_id_after_that_is_somebody_new() -> None:
    frames: Frames = [(0.0, {1: IN}), (3.0, {1: IN})]
    found = [(e.kind, e.pts_ns // 10**6) for e in events(zone(), frames)]
    assert found == [("enter", 0), ("leave", 2000), ("enter", 3000)]


def test_who_loiters_is_told_once_a_stay() -> None:
    way = [OUT, IN, IN, IN, IN, OUT, IN, IN, IN]
    found = [(e.kind, e.pts_ns / 1e9) for e in events(zone(loiter_s=2), one(way, every_s=1.0))]
    assert found == [
        ("enter", 0.5),
        ("loiter", 2.5),
        ("leave", 4.5),
        ("enter", 5.5),
        ("loiter", 7.5),
    ]


def test_who_loiters_and_is_lost_is_not_told_again() -> None:
    frames: Frames = [(0.0, {1: IN}), (1.0, {1: IN}), (1.9, {1: IN}), (4.0, {})]
    assert told(events(zone(loiter_s=1), frames)) == ["enter", "loiter", "leave"]


def test_who_loiters_is_told_although_it_was_not_seen_at_that_time() -> None:
    found = events(zone(loiter_s=1), one([OUT, IN, (500, 700)], every_s=1.5))
    assert told(found) == ["enter", "loiter", "leave"]
    assert [event.pts_ns / 1e9 for event in found] == [0.75, 1.75, 2.25]


def test_a_new_time_line_ends_all_stays() -> None:
    analyser = Analyser(AnalysisSpec({"a": zone()}))
    analyser.step(tracks({1: IN}), 10**9, VIEW)
    analyser.step(tracks({1: IN}), 2 * 10**9, VIEW)
    found = analyser.step(tracks({1: IN}), 9 * 10**9, View(1000, 1000, epoch=1))
    assert [(e.kind, e.pts_ns / 1e9) for e in found.events] == [("leave", 2), ("enter", 9)]
    assert found.tallies["a"] == {"inside": 1, "entered": 2, "left": 1}


def test_a_picture_of_another_size_moves_the_zone() -> None:
    analyser = Analyser(AnalysisSpec({"a": ZoneSpec(points=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))}))
    big = analyser.step(tracks({1: (400, 300)}), 0, View(1000, 1000))
    small = analyser.step(tracks({1: (400, 300)}), 10**9, View(500, 500))
    assert [told(found.events) for found in (big, small)] == [["enter"], ["leave"]]


def test_other_classes_do_not_exist() -> None:
    rule = zone(classes=[1])
    frames: Frames = [(0.0, {1: (*IN, 1), 2: (*IN, 0)}), (1.0, {1: (*IN, 0), 2: (*IN, 0)})]
    found = analyses(AnalysisSpec({"a": rule}), [*frames, (2.1, {1: (*IN, 0), 2: (*IN, 0)})])
    assert [told(analysis.events) for analysis in found] == [["enter"], [], ["leave"]]


places = st.tuples(st.integers(20, 80), st.integers(20, 80)).map(
    lambda at: (at[0] * 10, at[1] * 10)
)


@settings(max_examples=60)
@given(st.lists(places, min_size=1, max_size=8), st.sampled_from([SQUARE, STAR]))
def test_who_is_inside_is_who_stands_there(way: list[Place], polygon: tuple[Place, ...]) -> None:
    """Without hysteresis, and off the border, that is the polygon's own definition."""
    found = analyses(AnalysisSpec({"a": zone(*polygon, hysteresis=0)}), one(way, every_s=0.5))
    entered = [e.kind for analysis in found for e in analysis.events]
    assert entered == ["enter", "leave"] * (len(entered) // 2) + ["enter"] * (len(entered) % 2)
    inside = in_polygon(np.array(way, float), np.array(polygon, float))
    on_border = np.array([_on_border(at, polygon) for at in way])
    counted = np.array([analysis.tallies["a"]["inside"] for analysis in found])
    assert (counted == inside)[~on_border].all()


def _on_border(at: Place, polygon: tuple[Place, ...]) -> bool:
    a, b = np.array(polygon, float), np.roll(np.array(polygon, float), -1, 0)
    share = np.clip(((at - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
    return bool((np.hypot(*(a + share[:, None] * (b - a) - at).T) < 1e-6).any())


@settings(max_examples=60)
@given(st.lists(places, min_size=2, max_size=6), st.data())
def test_a_thinned_way_enters_and_leaves_as_often(way: list[Place], data: st.DataObject) -> None:
    dense, thinned = [(0.0, {1: way[0]})], [(0.0, {1: way[0]})]
    for leg, (start, end) in enumerate(pairwise(way)):
        kept = data.draw(st.sets(st.integers(1, 9)))
        for i in range(1, 11):
            at = tuple(np.array(start) + (np.array(end) - start) * i / 10)
            dense.append((leg + i / 10, {1: at}))
            thinned += [dense[-1]] if i in kept or i == 10 else []
    rule = zone(loiter_s=1.0)
    whole, part = events(rule, dense), events(rule, thinned)
    assert told(whole) == told(part)
    assert [e.pts_ns for e in whole] == pytest.approx([e.pts_ns for e in part], abs=10)


def queue(*counts: int, every_s: float = 1.0, **keys: Any) -> list[tuple[str, float, float]]:
    """What happens where so many are in the square, one frame after another."""
    rule = CrowdSpec.model_validate(
        {"points": SQUARE, "unit": "pixels", "at_least": 3, "for_s": 2, **keys}
    )
    ids, frames = iter(range(1, 1000)), []
    here: list[int] = []
    for index, count in enumerate(counts):
        gone, here = here[count:], here[:count]
        here += [next(ids) for _ in range(count - len(here))]
        places = dict.fromkeys(here, IN) | dict.fromkeys(gone, OUT)
        frames.append((index * every_s, places))
    return [(e.kind, e.pts_ns / 1e9, e.value) for e in events(rule, frames)]


def test_a_crowd_and_its_end() -> None:
    # Who is first seen inside enters then; who leaves is over the border in the middle of a step.
    found = queue(1, 3, 4, 4, 2, 2, 2, 2)
    assert found == [("crowd", 3.0, 4.0), ("calm", 5.5, 2.5)]


@pytest.mark.parametrize(
    ("counts", "keys"),
    [
        ((3, 3, 2, 3, 3, 2, 3), {}),  # never for 2 s
        ((2, 2, 2, 2, 2), {}),
        ((0, 0, 0), {}),
    ],
)
def test_no_crowd(counts: tuple[int, ...], keys: dict[str, Any]) -> None:
    assert queue(*counts, **keys) == []


def test_a_crowd_stays_one_until_it_is_calm_for_long_enough() -> None:
    assert [kind for kind, *_ in queue(3, 3, 3, 2, 3, 2, 3, 3)] == ["crowd"]
    assert [kind for kind, *_ in queue(3, 3, 3, 2, 2, 2, 2, 2, calm_at=1)] == ["crowd"]
    assert [kind for kind, *_ in queue(3, 3, 3, 1, 1, 1, 1, calm_at=1)] == ["crowd", "calm"]
    assert [kind for kind, *_ in queue(3, 0, 3, 0, for_s=0)] == ["crowd", "calm"] * 2


def test_a_crowd_does_not_depend_on_how_often_one_looks() -> None:
    counts = [1, 3, 3, 3, 3, 3, 3]
    dense = [count for count in counts for _ in range(10)]
    assert queue(*counts, for_s=1.5) == [("crowd", 2.5, 3)]
    assert queue(*dense, every_s=0.1, for_s=1.5) == [("crowd", 2.5, 3)]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"points": [[0, 0], [1, 1]]}, "points"),
        ({"points": [[0, 0], [0.5, 0.5], [1, 1]]}, "not on one line"),
        ({"calm_at": 3}, "calm_at 3 is not below at_least 3"),
        ({"at_least": 0}, "at_least"),
    ],
)
def test_mistakes(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        CrowdSpec.model_validate({"points": [[0, 0], [1, 0], [1, 1]], "at_least": 3, **keys})

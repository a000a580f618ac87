"""Lines: directions, hysteresis, corners and ends, and ways told in more or fewer frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.analytics.analyser import Analyser, AnalysisSpec
from pipeline.analytics.line import LineSpec
from pipeline.tracking.zones import Anchor
from tests.analytics.paths import VIEW, Place, analyses, events, one, told, tracks

ACROSS = ((300, 500), (700, 500))  # to the right: its right side is below it


def line(*points: Place, **keys: Any) -> LineSpec:
    """A line in pixels that counts from 4 pixels behind it, a tenth of a box."""
    return LineSpec.model_validate({"points": points or ACROSS, "unit": "pixels", **keys})


def straight(start: Place, end: Place, steps: int) -> list[Place]:
    """A way in even steps, both ends included."""
    return [tuple(place) for place in np.linspace(start, end, steps + 1).tolist()]


def crossed(way: Sequence[Place], rule: LineSpec | None = None) -> list[str]:
    return told(events(rule or line(), one(way)))


@pytest.mark.parametrize(
    ("way", "directions"),
    [
        ([(500, 400), (500, 600)], ["in"]),
        ([(500, 600), (500, 400)], ["out"]),
        ([(500, 400), (500, 600), (500, 400)], ["in", "out"]),
        ([(200, 400), (200, 600)], []),  # past its end
        ([(200, 600), (200, 400), (500, 400), (500, 600)], ["in"]),  # round its end
        ([(500, 400), (500, 499)], []),
        ([(500, 400), (500, 502)], []),  # not far enough
        ([(500, 400), (500, 502), (500, 400)], []),
        ([(500, 400), (500, 502), (500, 498), (500, 502), (500, 520)], ["in"]),  # jitter
        ([(500, 498), (500, 502), (500, 520)], ["in"]),  # a path that begins at the line
        ([(500, 400), (500, 500), (500, 600)], ["in"]),  # a detection on it
        ([(500, 400), (500, 500), (500, 400)], []),
        ([(300, 400), (300, 600)], ["in"]),  # through its first end
        ([(100, 500), (900, 500)], []),  # along it
        ([(100, 400), (400, 500), (600, 500), (900, 600)], ["in"]),  # on it for a while
        ([(100, 400), (400, 500), (600, 500), (900, 400)], []),
        ([(500, 400)], []),
        ([(500, 400), (500, 400), (500, 400)], []),
    ],
)  # fmt: skip
def test_ways(way: list[Place], directions: list[str]) -> None:
    assert crossed(way) == directions


def test_the_moment_and_the_place_lie_between_two_frames() -> None:
    (event,) = events(line(), one([(400, 400), (600, 600)], every_s=1.0))
    assert (event.pts_ns, event.at, event.track, event.label) == (500_000_000, (500, 500), 1, 0)
    (event,) = events(line(), one([(500, 480), (500, 502), (500, 498), (500, 520)], every_s=1.0))
    assert event.pts_ns == pytest.approx(2e9 + 1e9 / 11, abs=1), "the last time it went over it"


@pytest.mark.parametrize(
    ("anchor", "crosses"),
    [("foot", True), ("centre", False), ("head", False), ("bottom_left", True), ("left", False)],
)
def test_the_anchor_has_to_cross(anchor: Anchor, crosses: bool) -> None:
    way = [(500, 490), (500, 515)]
    assert bool(crossed(way, line(anchor=anchor))) == crosses


def test_a_corner_is_crossed_once() -> None:
    bent = line((300, 500), (500, 400), (700, 500), hysteresis=0)
    assert crossed([(500, 300), (500, 450)], bent) == ["in"]
    assert crossed([(500, 300), (500, 400), (500, 450)], bent) == ["in"], "a detection at it"
    assert crossed([(300, 400), (700, 400)], bent) == [], "it is touched from above"
    assert crossed([(300, 450), (700, 450)], bent) == ["in", "out"], "in and out below it"


def test_what_lies_between_two_lines_of_one_rule_counts_if_it_is_far_from_both() -> None:
    """Both arms of a V are crossed within one step; in its middle the way is far from them."""
    way, v = [(300, 450), (700, 450)], ((300, 500), (500, 400), (700, 500))
    assert crossed(way, line(*v)) == ["in", "out"]
    assert crossed(way, line(*v, hysteresis=2)) == []


def test_directions_have_names() -> None:
    named = line(directions=["north", "south"])
    found = analyses(AnalysisSpec({"a": named}), one([(500, 400), (500, 600), (500, 400)]))
    assert [dict(analysis.tallies["a"]) for analysis in found] == [
        {"north": 0, "south": 0},
        {"north": 1, "south": 0},
        {"north": 1, "south": 1},
    ]


def test_fractions_are_of_the_picture() -> None:
    rule = LineSpec(points=((0.3, 0.5), (0.7, 0.5)))
    assert crossed([(500, 400), (500, 600)], rule) == ["in"]
    assert crossed([(500, 0.4), (500, 0.6)], rule) == []


# A way in pieces of whole pixels, so that what lies between is exact.
corners = st.lists(st.tuples(st.integers(25, 75), st.integers(25, 75)), min_size=2, max_size=6).map(
    lambda found: [(x * 10, y * 10) for x, y in found]
)
lines = st.sampled_from([ACROSS, ((300, 500), (500, 400), (700, 500)), ((300, 300), (700, 700)),
                         ((500, 300), (500, 500), (300, 500), (300, 700))])  # fmt: skip


@settings(max_examples=60)
@given(corners, lines, st.sampled_from([0, 0.1, 1]), st.data())
def test_a_thinned_way_crosses_as_often(
    corners: list[Place], points: Sequence[Place], hysteresis: float, data: st.DataObject
) -> None:
    """As long as it stays straight between what is left of it."""
    rule = line(*points, hysteresis=hysteresis)
    dense: list[tuple[float, dict[int, Place]]] = [(0.0, {1: corners[0]})]
    thinned = [dense[0]]
    for leg, (start, end) in enumerate(pairwise(corners)):
        pieces = [(leg + i / 10, {1: p}) for i, p in enumerate(straight(start, end, 10))][1:]
        kept = data.draw(st.sets(st.integers(0, 8)))
        dense += pieces
        thinned += [frame for i, frame in enumerate(pieces) if i in kept or i == 9]
    whole, part = events(rule, dense), events(rule, thinned)
    assert told(part) == told(whole)
    for one_, other in zip(whole, part, strict=True):
        assert one_.at == pytest.approx(other.at, abs=1e-6)
        assert one_.pts_ns == pytest.approx(other.pts_ns, abs=10)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-190, 190), st.integers(-3, 3)), max_size=30))
def test_jitter_within_the_hysteresis_is_no_crossing(places: list[tuple[int, int]]) -> None:
    way = [(500 + x, 500 + y) for x, y in places]
    assert crossed([(500, 400), *way, (500, 400)]) == []
    assert crossed([(500, 400), *way, (500, 600)]) == ["in"]


def test_a_predicted_track_crosses_nothing() -> None:
    analyser = Analyser(AnalysisSpec({"rule": line()}))
    seen = [(400, []), (480, []), (540, [1]), (560, [1])]
    for index, (y, unseen) in enumerate(seen):
        found = analyser.step(tracks({1: (500, y)}, unseen), index * 10**8, VIEW)
        assert found.events == ()


def test_who_comes_back_beyond_the_line_has_crossed_it_and_who_is_given_up_has_not() -> None:
    def way(away_s: float) -> list[str]:
        frames = [(0.0, {1: (500, 450)}), (0.5, {}), (away_s, {1: (500, 550)})]
        return told(events(line(), frames))

    assert way(2.0) == ["in"]
    assert way(2.1) == [], "the tracker gave it up: who comes then is somebody else"


def test_each_track_by_itself() -> None:
    frames = [(0.0, {1: (400, 400), 2: (600, 600)}), (0.1, {1: (400, 600), 2: (600, 400)})]
    assert [(e.track, e.direction) for e in events(line(), frames)] == [(1, "in"), (2, "out")]


def test_what_is_remembered_goes_with_the_tracks() -> None:
    rule = line()
    analyser = Analyser(AnalysisSpec({"rule": rule}))
    for index in range(200):
        # Each stays at the line, where it is not decided.
        analyser.step(tracks({index: (500, 498 + 4 * (index % 2))}), index * 10**8, VIEW)
        analyser.step(tracks({index: (500, 502 - 4 * (index % 2))}), index * 10**8 + 10**7, VIEW)
    (paths,), (kept,) = analyser._paths.values(), analyser._rules.values()
    assert len(paths._roll) <= 21
    assert len(kept._crossings._open) <= 21  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"points": [[0.1, 0.1]]}, "points"),
        ({"points": [[0.1, 0.1], [0.1, 0.1]]}, "not in one place"),
        ({"points": [[0.1, 0.1], [1.1, 0.1]]}, "unit: pixels"),
        ({"directions": ["in", "in"]}, "same name"),
        ({"directions": ["in"]}, "directions"),
        ({"anchor": "nose"}, "anchor"),
        ({"hysteresis": -1}, "hysteresis"),
        ({"cameras": []}, "cameras"),
    ],
)
def test_mistakes(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        LineSpec.model_validate({"points": [[0.1, 0.1], [0.9, 0.1]], **keys})

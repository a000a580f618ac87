"""All kinds of rules together: nothing is kept of tracks that are gone, and time goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.analytics.abandoned import AbandonedSpec
from pipeline.analytics.analyser import Analyser, AnalysisSpec, View
from pipeline.analytics.crowd import CrowdSpec
from pipeline.analytics.direction import DirectionSpec
from pipeline.analytics.ground import GroundSpec
from pipeline.analytics.line import LineSpec
from pipeline.analytics.roll import Roll
from pipeline.analytics.rule import Rule
from pipeline.analytics.speed import SpeedSpec
from pipeline.analytics.stop import StopSpec
from pipeline.analytics.zone import ZoneSpec
from tests.analytics.paths import VIEW, Place, tracks

SQUARE = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
GROUND = GroundSpec(
    points=((0, 0), (1, 0), (1, 1), (0, 1)), metres=((0, 0), (9, 0), (9, 9), (0, 9))
)
EVERYTHING = AnalysisSpec(
    {
        "line": LineSpec(points=((0.5, 0), (0.5, 1))),
        "zone": ZoneSpec(points=SQUARE, loiter_s=1),
        "crowd": CrowdSpec(points=SQUARE, at_least=3, for_s=0.5),
        "direction": DirectionSpec(along=((0, 0.5), (1, 0.5))),
        "speed": SpeedSpec(limit_kmh=5),
        "stop": StopSpec(for_s=1),
        "abandoned": AbandonedSpec(classes=(1,), by=(0,), for_s=1),
    },
    GROUND,
)


def crowd(seconds: float, seed: int = 0) -> dict[int, Place]:
    """Those who are there then: each comes for a while, and either walks or stands."""
    there: dict[int, Place] = {}
    for track in range(1, 60):
        chance = np.random.default_rng((seed, track))
        comes, stays = chance.uniform(0, 12), chance.uniform(1, 6)
        start, pace = chance.uniform(200, 800, 2), chance.normal(0, 60, 2) * chance.integers(0, 2)
        if comes <= seconds < comes + stays and chance.random() < 0.9:
            at = start + pace * (seconds - comes)
            there[track] = (*at.tolist(), int(chance.integers(0, 2)))
    return there


def rolls(rule: Rule[Any]) -> list[int]:
    """How many tracks each part of a rule remembers."""
    parts, sizes = [vars(rule)], []
    while parts:
        for name, value in parts.pop().items():
            if isinstance(value, Roll) or name in ("_open", "_things"):
                sizes.append(len(value))
            elif name in ("_presence", "_crossings"):
                parts.append(vars(value))
    return sizes


def test_every_kind_of_event_comes_and_nothing_stays() -> None:
    analyser, kinds = Analyser(EVERYTHING), set[str]()
    for index in range(250):
        analysis = analyser.step(tracks(crowd(index / 10)), index * 10**8, VIEW)
        moments = [event.pts_ns for event in analysis.events]
        assert moments == sorted(moments)
        assert all(moment <= index * 10**8 for moment in moments)
        kinds |= {event.kind for event in analysis.events}
    assert kinds == {
        "cross", "enter", "leave", "loiter", "crowd", "calm", "wrong_way", "speeding", "stop",
        "abandoned",
    }  # fmt: skip
    assert [len(paths._roll) for paths in analyser._paths.values()] == [0, 0, 0]
    for rule in analyser._rules.values():
        assert set(rolls(rule)) == {0}, rule.name
    assert analysis.tallies["zone"]["inside"] == analysis.tallies["crowd"]["inside"] == 0


@pytest.mark.parametrize("view", [View(1000, 1000, epoch=1), View(500, 500)])
def test_another_view_ends_everything(view: View) -> None:
    analyser = Analyser(EVERYTHING)
    for index in range(60):
        analyser.step(tracks(crowd(index / 10)), index * 10**8, VIEW)
    found = analyser.step(tracks({}), 60 * 10**8, view)
    assert {event.kind for event in found.events} == {"leave"}
    assert found.tallies["zone"]["inside"] == 0
    for rule in analyser._rules.values():
        assert set(rolls(rule)) == {0}, rule.name


def test_speeds_belong_to_the_tracks_of_the_frame() -> None:
    spec = AnalysisSpec({}, GROUND)
    analyser, known = Analyser(spec), np.empty(0)
    for index in range(40):
        here: dict[int, Place] = {2: (100 + 5 * index, 500), 7: (500, 500)}
        if index > 30:
            here[4] = (300, 300)
        known = analyser.step(tracks(here, unseen=[7]), index * 10**8, VIEW).speeds_kmh
    # 50 pixels a second, 9 m are 1000 pixels; nobody has been seen for long enough, or at all.
    assert known.dtype == np.float32
    assert known == pytest.approx([1.62, np.nan, np.nan], nan_ok=True, abs=1e-4)


def test_without_ground_there_are_no_speeds() -> None:
    assert len(Analyser(AnalysisSpec()).step(tracks({1: (5, 5)}), 0, VIEW).speeds_kmh) == 0

"""What analytics found, over the picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.analytics.direction import DirectionSpec
from pipeline.analytics.event import Analysis, Event
from pipeline.analytics.line import LineSpec
from pipeline.analytics.zone import ZoneSpec
from pipeline.output.annotate import Annotator
from pipeline.output.overlay import Outline, of_camera, outlines_of

LINE = Outline("gate", ((0.25, 0.5), (0.75, 0.5)))
ZONE = Outline("yard", ((40, 200), (140, 200), (140, 320), (40, 320)), "pixels", closed=True)


def grey(width: int = 640, height: int = 360) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def crossing(rule: str = "gate", at: tuple[float, float] = (320, 180)) -> Analysis:
    return Analysis((Event(rule, "cross", 0, 1, 0, at, "in"),))


def drawn_on(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where it is not grey any more; but for the line at the top."""
    on = np.any(image != 90, axis=2)
    on[:20] = False
    return np.asarray(on, np.bool_)


def test_lines_and_zones_are_where_they_are_said_to_be(make_message: Any) -> None:
    annotator = Annotator(outlines=(LINE, ZONE))
    on = drawn_on(annotator.draw(grey(), make_message(0)))
    assert on[180, 165:475].all()  # the line, in fractions
    assert not on[180, 484:].any()
    assert on[260, 40]  # the zone, in pixels, with its last side
    assert on[260, 140]
    assert on[320, 60:120].all()
    assert not on[230:290, 60:120].any()


def test_an_event_flashes_at_its_place_for_a_second(make_message: Any) -> None:
    annotator = Annotator()
    annotator.draw(grey(), make_message(0, pts_ns=0, analysis=crossing()))
    for at_ns, shown in ((500_000_000, True), (999_999_999, True), (1_000_000_000, False)):
        on = drawn_on(annotator.draw(grey(), make_message(0, pts_ns=at_ns, analysis=Analysis())))
        assert on.any() == shown
        assert not shown or on[150:200, 300:340].any()


def test_an_event_is_gone_with_its_time_line(make_message: Any) -> None:
    annotator = Annotator()
    annotator.draw(grey(), make_message(0, pts_ns=9_000_000_000, analysis=crossing()))
    assert not drawn_on(annotator.draw(grey(), make_message(0, pts_ns=8_000_000_000))).any()


def test_the_line_of_an_event_is_bright(make_message: Any) -> None:
    def drawn(rule: str) -> NDArray[np.uint8]:
        annotator = Annotator(outlines=(LINE,))
        message = make_message(0, analysis=crossing(rule, (320, 300)))
        return annotator.draw(grey(), message)[175:185, 200]

    assert (drawn("gate") != drawn("another")).any()


def test_what_is_counted_stands_at_the_upper_right(make_message: Any) -> None:
    pictures = [
        Annotator().draw(grey(), make_message(0, analysis=Analysis(tallies=tallies)))
        for tallies in ({}, {"gate": {"in": 3}}, {"gate": {"in": 4}}, {"gate": {"in": 3}, "a": {}})
    ]
    areas = [int(drawn_on(picture).sum()) for picture in pictures]
    assert areas[0] == 0 < areas[1] < areas[3]
    assert (pictures[1] != pictures[2]).any()
    assert not drawn_on(pictures[3])[:, :320].any()


@pytest.mark.parametrize("size", [(16, 16), (100, 2000), (3840, 64)])
def test_any_size_of_picture_and_any_place_can_be_drawn(
    make_message: Any, size: tuple[int, int]
) -> None:
    tallies = {f"rule {number}": {"in": 10**9, "out": 2} for number in range(40)}
    events = tuple(
        Event("käfer" * 20, "stop", 0, 1, 0, place, value=1e9)
        for place in ((-1e4, -1e4), (1e4, 1e4), (0.0, 0.0))
    )
    message = make_message(0, analysis=Analysis(events, tallies))
    drawn = Annotator(outlines=(LINE, ZONE)).draw(grey(*size), message)
    assert drawn.shape == (*size[::-1], 3)


def test_outlines_come_from_rules() -> None:
    corners = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))
    rules = {
        "gate": LineSpec(points=corners[:2], unit="pixels", cameras=("north",)),
        "yard": ZoneSpec(points=corners, unit="pixels"),
        "way": DirectionSpec(along=((0, 0), (1, 0))),
    }
    line, zone = found = outlines_of(rules)
    assert line == Outline("gate", corners[:2], "pixels", closed=False, cameras=("north",))
    assert zone == Outline("yard", corners, "pixels", closed=True)
    assert of_camera(found, "north") == [line, zone]
    assert of_camera(found, "south") == [zone]

"""Drawing: what must be on the picture, and what must not happen to it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.output import annotate
from pipeline.output.annotate import Annotator, Pen, track_color
from pipeline.packet import Status
from pipeline.tracking.track import Attribute, Tracks


def grey(width: int = 640, height: int = 360) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def one_track(x: float = 200, y: float = 100, **changes: Any) -> Tracks:
    return replace(
        Tracks(
            ids=np.array([1], np.int64),
            boxes_xyxy=np.array([[x, y, x + 80, y + 160]], np.float32),
            scores=np.array([0.9], np.float32),
            labels=np.array([0], np.int32),
            states=np.array([1], np.uint8),
            velocities=np.zeros((1, 2), np.float32),
            ages_s=np.zeros(1, np.float32),
            unseen_s=np.zeros(1, np.float32),
        ),
        **changes,
    )


def near(image: NDArray[np.uint8], color: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.all(np.abs(image.astype(int) - color) < 40, axis=2)


def test_the_picture_given_is_not_changed(make_message: Any) -> None:
    image = grey()
    image.setflags(write=False)
    drawn = Annotator().draw(image, make_message(5))
    assert drawn.shape == image.shape
    assert np.any(drawn != image)


def test_a_box_is_drawn_where_it_is_in_its_identitys_color(make_message: Any) -> None:
    drawn = Annotator(trails_s=0).draw(grey(), make_message(tracks=one_track()))
    on = near(drawn, track_color(1))
    assert on[150, 200]  # left side
    assert on[150, 280]  # right side
    assert on[260, 240]  # foot
    assert not on[150, 215:265].any()  # inside


def test_a_tag_names_the_attributes_that_are_known(
    make_message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(annotate, "draw_tag", lambda canvas, text, *rest: written.append(text))
    for value in ("red", ""):
        colour = Attribute(np.array([value]), np.array([0.5], np.float32))
        tracks = one_track(attributes={"colour": colour})
        Annotator(["car"]).draw(grey(), make_message(tracks=tracks))
    assert written == ["1 red car 0.90", "1 car 0.90"]


def test_a_prediction_shows_its_corners_only(make_message: Any) -> None:
    tracks = one_track(unseen_s=np.array([0.2], np.float32))
    on = near(Annotator(trails_s=0).draw(grey(), make_message(tracks=tracks)), track_color(1))
    assert on[110, 200]
    assert not on[180, 195:206].any()


def test_colors_are_constant_and_neighbours_differ() -> None:
    colors = [track_color(i) for i in range(1, 13)]
    assert colors == [track_color(i) for i in range(1, 13)]
    assert min(np.abs(np.subtract(a, b)).max() for a, b in combinations(colors, 2)) > 25


def test_a_trail_follows_a_track_and_ends_after_its_time(make_message: Any) -> None:
    annotator = Annotator(trails_s=1.0)
    for i in range(10):
        message = make_message(tracks=one_track(100 + 20 * i), pts_ns=i * 100_000_000)
        drawn = annotator.draw(grey(), message)
    foot = drawn[255:266, 150:230]
    assert np.any(foot != 90)
    later = make_message(0, pts_ns=2_000_000_000)
    assert np.all(annotator.draw(grey(), later)[255:266, 150:230] == 90)
    assert annotator._trails == {}


def test_a_trail_does_not_reach_over_a_time_line_that_jumped_back(make_message: Any) -> None:
    annotator = Annotator(trails_s=1.0)
    annotator.draw(grey(), make_message(tracks=one_track(0), pts_ns=9_000_000_000))
    drawn = annotator.draw(grey(), make_message(tracks=one_track(400), pts_ns=0))
    assert np.all(drawn[255:266, 150:390] == 90)


def test_a_blind_frame_has_a_red_banner_and_a_good_one_has_none(make_message: Any) -> None:
    annotator = Annotator()
    blind = annotator.draw(grey(), make_message(0, status=Status.BLIND, reason="nan"))
    assert near(blind, (30, 30, 210))[-8:, :40].all()
    good = annotator.draw(grey(), make_message(0))
    assert np.all(good[-60:] == 90)


@pytest.mark.parametrize("latency", [True, False])
def test_latency_is_shown_where_wanted(make_message: Any, latency: bool) -> None:
    annotator = Annotator(latency=latency)
    with_age = annotator.draw(grey(), make_message(0, age_ms=12.0))
    without = annotator.draw(grey(), make_message(0))
    assert np.any(with_age != without) == latency


@pytest.mark.parametrize("size", [(16, 16), (100, 2000), (3840, 64)])
def test_any_size_of_picture_and_any_box_can_be_drawn(
    make_message: Any, size: tuple[int, int]
) -> None:
    outside = np.array([[-1e5, -1e5, 1e5, 1e5]], np.float32)
    message = make_message(tracks=one_track(boxes_xyxy=outside), status=Status.STALLED)
    assert Annotator(("x" * 300,)).draw(grey(*size), message).shape == (*size[::-1], 3)


def test_lines_and_text_grow_with_the_picture() -> None:
    small, large = Pen.for_picture(640, 360), Pen.for_picture(1920, 1080)
    assert large.line >= 2 * small.line
    assert large.font == pytest.approx(3 * small.font)

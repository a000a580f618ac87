"""Counting in the rendered streets, of which it is known who was where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.analytics.analyser import Analyser, AnalysisSpec, View
from pipeline.analytics.event import Event
from pipeline.analytics.ground import GroundSpec
from pipeline.analytics.line import LineSpec
from pipeline.analytics.zone import ZoneSpec
from pipeline.evaluation.mot_files import MotTable, read_mot
from pipeline.tracking.track import Tracks
from pipeline.world import LABELS
from pipeline.world.cast import Cast
from pipeline.world.layout import Layout, lay_out
from pipeline.world.scenes import SPECS

VIDEOS = Path(__file__).resolve().parents[2] / "sample_videos"
CLIPS = ("day", "dusk", "crowd")
FRAMES, STEP_NS, WIDTH, HEIGHT = 250, 40_000_000, 640, 360
#: Down through the middle: its right side is the picture's left half.
MIDDLE = LineSpec(points=((0.5, 0), (0.5, 1)))
SQUARE = ZoneSpec(points=((0.3, 0.2), (0.7, 0.2), (0.7, 1), (0.3, 1)))
#: Nobody is given up, so that it does not matter who is hidden for how long.
SPEC = AnalysisSpec({"middle": MIDDLE, "square": SQUARE}, patience_s=100)
What = tuple[str, str, int]


@cache
def truth(clip: str) -> MotTable:
    """Where everybody is who can be seen."""
    table = read_mot(VIDEOS / clip / "gt" / "gt.txt")
    return table.take(table.scores != 0)


def tracks(table: MotTable) -> Tracks:
    """The objects of one frame as tracks."""
    table = table.take(table.ids.argsort())
    corner, size = table.boxes_xywh[:, :2], table.boxes_xywh[:, 2:]
    count, none = len(table), np.zeros(len(table), np.float32)
    return Tracks(
        table.ids.astype(np.int64),
        np.concatenate((corner, corner + size), axis=1).astype(np.float32),
        none,
        (table.classes - 1).astype(np.int32),
        np.ones(count, np.uint8),
        np.zeros((count, 2), np.float32),
        none,
        none,
    )


def analysed(clip: str, frames: Iterable[int]) -> list[Event]:
    """What happens, as far as these frames show."""
    analyser, table, found = Analyser(SPEC), truth(clip), list[Event]()
    for frame in frames:
        here = tracks(table.take(table.frames == frame))
        found += analyser.step(here, frame * STEP_NS, View(WIDTH, HEIGHT)).events
    return found


def names(events: Iterable[Event]) -> Counter[What]:
    return Counter((e.rule, e.direction or e.kind, e.track) for e in events)


def counted(clip: str) -> Counter[What]:
    """The same, found otherwise: somebody is where they were last far enough from any border."""
    table, found = truth(clip), Counter[What]()
    for track in np.unique(table.ids).astype(int).tolist():
        left, top, width, height = table.take(table.ids == track).boxes_xywh.T
        x, y, margin = left + width / 2, top + height, 0.1 * height
        side = _settled(x - WIDTH / 2, margin)
        found["middle", "in", track] += int((np.diff(side) < 0).sum())
        found["middle", "out", track] += int((np.diff(side) > 0).sum())
        depth = np.minimum.reduce([x - 0.3 * WIDTH, 0.7 * WIDTH - x, y - 0.2 * HEIGHT, HEIGHT - y])
        # Beside a corner the border is farther than its nearer edge's line.
        across = np.maximum(np.maximum(0.3 * WIDTH - x, x - 0.7 * WIDTH), 0)
        along = np.maximum(np.maximum(0.2 * HEIGHT - y, y - HEIGHT), 0)
        inside = _settled(np.where(depth >= 0, depth, -np.hypot(across, along)), margin)
        found["square", "enter", track] += int((np.diff(inside) > 0).sum() + (inside[0] > 0))
        found["square", "leave", track] += int((np.diff(inside) < 0).sum())
    return +found


def _settled(depths: np.ndarray, margins: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """1 where somebody is inside, else -1; it changes where they are farther than that beyond."""
    sides = [1 if depths[0] >= 0 else -1]
    for depth, margin in zip(depths[1:], margins[1:], strict=True):
        sides.append(int(np.sign(depth)) if abs(depth) > margin else sides[-1])
    return np.array(sides)


@pytest.mark.parametrize("clip", CLIPS)
def test_true_boxes_are_counted_exactly(clip: str) -> None:
    found = names(analysed(clip, range(1, FRAMES + 1)))
    assert found == counted(clip)
    assert sum(found.values()) > 50


@pytest.mark.parametrize("clip", CLIPS)
def test_dropped_frames_change_nothing_of_what_is_counted(clip: str) -> None:
    chance = np.random.default_rng(7)
    whole = analysed(clip, range(1, FRAMES + 1))
    random = [frame for frame in range(2, FRAMES) if chance.random() < 0.4]
    for left in (range(2, FRAMES, 2), range(2, FRAMES, 5), random):
        # Who is there in the first and the last frame is known only from these.
        part = analysed(clip, [1, *left, FRAMES])
        assert names(part) == names(whole)
        assert np.median(_late_by(part, whole)) < STEP_NS


def _late_by(part: Iterable[Event], whole: Iterable[Event]) -> list[int]:
    when = {(e.rule, e.kind, e.track, e.direction): e.pts_ns for e in whole}
    return [abs(e.pts_ns - when[e.rule, e.kind, e.track, e.direction]) for e in part]


def test_people_walk_as_fast_as_they_do() -> None:
    layout = lay_out(SPECS["day"], 11, WIDTH, HEIGHT)
    corners, cast = [(-6.0, 9.0), (6.0, 9.0), (9.0, 24.0), (-9.0, 24.0)], Cast(layout)
    seen = [np.array(layout.camera.project(x, z)) - layout.margin_px for x, z in corners]
    points = tuple((float(x), float(y)) for x, y in seen)
    ground = GroundSpec(points=points, metres=tuple(corners), unit="pixels")
    analyser, errors = Analyser(AnalysisSpec({}, ground, patience_s=100)), list[float]()
    for frame in range(1, FRAMES + 1):
        here = tracks(truth("day").take(truth("day").frames == frame))
        found = analyser.step(here, frame * STEP_NS, View(WIDTH, HEIGHT)).speeds_kmh
        if frame % 25 == 0:
            now, before = (_places(layout, cast, (frame - 1) / 25 - ago) for ago in (0, 0.5))
            for track, speed in zip(here.ids.tolist(), found.tolist(), strict=True):
                if track in now and track in before and not np.isnan(speed):
                    errors.append(abs(speed - 3.6 * abs(now[track] - before[track]) / 0.5))
    assert len(errors) > 100
    assert np.median(errors) < 0.3
    assert np.quantile(errors, 0.9) < 1.5


def _places(layout: Layout, cast: Cast, seconds: float) -> dict[int, complex]:
    """Where each person stands: metres to the right, and ahead."""
    camera = layout.camera
    return {
        one.track_id: complex((one.column - camera.width / 2) / camera.scale(one.z_m), one.z_m)
        for one in cast.at(seconds)
        if one.label == LABELS.index("person")
    }


CONFIG = """
cameras: [{{id: street, uri: "{clip}", every: 2}}]
stages:
  detect: {{model: street-pico}}
  track: {{max_lost_s: 2.0, measured_share: 0.8}}
  analyse:
    rules:
      middle: {{kind: line, points: [[0.5, 0], [0.5, 1]]}}
      square: {{kind: zone, points: [[0.3, 0.2], [0.7, 0.2], [0.7, 1], [0.3, 1]]}}
outputs: []
"""


def test_detected_and_tracked_people_in_every_second_frame_are_counted_almost_so() -> None:
    """docs/analytics.md has the figures of all clips."""
    config = pipeline.loads(CONFIG.format(clip=VIDEOS / "day.mp4"))
    *_, last = pipeline.stream(pipeline.build(config))
    analysis = last.payload.analysis
    assert analysis is not None
    kinds = Counter[str]()
    for (_, kind, _track), count in counted("day").items():
        kinds[kind] += count
    found = {**analysis.tallies["middle"], **analysis.tallies["square"]}
    assert found["in"] == pytest.approx(kinds["in"], abs=1)
    assert found["out"] == pytest.approx(kinds["out"], abs=1)
    assert found["entered"] == pytest.approx(kinds["enter"], abs=3)
    assert found["left"] == pytest.approx(kinds["leave"], abs=3)

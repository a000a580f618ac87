"""The search finds what is there to be found, and is not scored on what it was shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.tracker import track_spec
from pipeline.errors import ConfigError
from pipeline.evaluation.evaluate import Rules, combine
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.tracking.presets import NAMES
from pipeline.tracking.spec import TrackSpec
from pipeline.tuning.account import account, preset_text
from pipeline.tuning.search import Tuned, tune
from pipeline.tuning.search_space import Point, moved, ranges_of, value_of
from pipeline.tuning.trials import Base, Course, honest_gain, scorer
from tests.tuning.courses import walkers

BASE = Base("sightline")
KEYS = ["high_score", "new_score", "rounds.high.at_least"]


def _course(name: str, tables: tuple[MotTable, MotTable]) -> Course:
    return Course(name, *tables, fps=10)


def _tuned(
    courses: list[Course], processes: int = 1, seed: int = 1, budget: int = 24
) -> tuple[Tuned, Point]:
    spec = BASE.at({})
    ranges = ranges_of(spec, KEYS)
    start = {key: value_of(spec, key) for key in ranges}
    with scorer(courses, BASE, Rules(), processes) as score:
        return tune(start, ranges, len(courses), score, budget=budget, seed=seed), start


def _said(tuned: Tuned, start: Point, courses: list[Course]) -> str:
    """The account, whatever its line breaks."""
    gain = honest_gain(tuned, start, courses, BASE, Rules(), "HOTA")
    text = account(tuned, start, [course.name for course in courses], "HOTA", gain)
    return " ".join(text.split())


@pytest.fixture(scope="module")
def courses() -> list[Course]:
    return [_course(name, walkers(seed)) for seed, name in enumerate(("park", "street", "yard"))]


def test_a_gain_that_is_there_is_found_and_claimed(courses: list[Course]) -> None:
    tuned, start = _tuned(courses)
    assert tuned.point["new_score"] < 0.5
    assert combine(tuned.unseen).summary()["HOTA"] > 50
    said = _said(tuned, start, courses)
    assert "not chosen on, HOTA gains" in said
    assert "new_score 0.6 →" in said


def test_same_seed_same_result_on_any_number_of_processes(courses: list[Course]) -> None:
    first, _ = _tuned(courses, budget=8)
    second, _ = _tuned(courses, budget=8, processes=2)
    assert (first.point, first.on_others, first.trials) == (
        second.point,
        second.on_others,
        second.trials,
    )
    assert _tuned(courses, budget=8, seed=2)[0].point != first.point


def test_what_is_scored_was_not_looked_at(courses: list[Course]) -> None:
    """The truth of the last sequence is nonsense; what is chosen for it does not change."""
    gt, _ = walkers(7)
    rows = np.column_stack([gt.frames, gt.ids, gt.boxes_xywh + 500, gt.scores, gt.classes])
    spoilt = Course("yard", table_from_rows(rows), courses[2].seen, fps=10)
    (honest, _), (misled, _) = _tuned(courses), _tuned([*courses[:2], spoilt])
    assert misled.on_others[2] == honest.on_others[2]
    assert misled.unseen[2].summary()["HOTA"] == 0


def test_no_gain_is_claimed_of_one_sequence(courses: list[Course]) -> None:
    tuned, start = _tuned(courses[:1])
    assert (tuned.on_others, tuned.unseen) == ([], [])
    assert "no gain is claimed" in _said(tuned, start, courses[:1])


def test_no_gain_is_claimed_where_there_is_none() -> None:
    perfect = [_course(str(seed), walkers(seed, score=0.99)) for seed in (1, 2)]
    tuned, start = _tuned(perfect)
    assert tuned.point == start
    said = _said(tuned, start, perfect)
    assert "Nothing scored higher" in said
    assert "keep the preset" in said


@pytest.mark.parametrize("preset", NAMES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_every_candidate_is_a_tracker(preset: str, seed: int, data: st.DataObject) -> None:
    spec = TrackSpec(preset=preset)
    known = ranges_of(spec)
    keys = data.draw(st.lists(st.sampled_from([*known]), min_size=1, unique=True))
    ranges = ranges_of(spec, keys)
    point: Point = {key: value_of(spec, key) for key in ranges}
    assert Base(preset).at(point) == spec
    for step in range(3):
        point = moved(point, ranges, 2.0, (seed, step))
        found = Base(preset).at(point)
        assert {key: value_of(found, key) for key in ranges} == point
        assert all(spread.low <= point[k] <= spread.high or point[k] == value_of(spec, k)
                   for k, spread in ranges.items())  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("bytetrack", ["rounds.low.at_least=0.4", "screening.classes=[1, 2]"]),
        ("ocsort", ["association=[observed]", "min_hits=2"]),
        ("mine.yaml", ["new_score=0.4"]),
    ],
)
def test_a_preset_is_read_as_it_was_written(
    preset: str, changes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("preset: sort\nmax_lost_s: 0.5\n")
    spec = Base(preset, tuple(changes)).at({"high_score": 0.7})
    Path("tuned.yaml").write_text(preset_text(spec, "made by\na test"))
    again = track_spec("tuned.yaml")
    assert again == spec.model_copy(update={"preset": "tuned.yaml"})
    assert Path("tuned.yaml").read_text().startswith("# made by\n# a test\npreset: ")


def test_keys_that_are_not_tuned() -> None:
    with pytest.raises(ConfigError, match="high_scor is not tuned; did you mean 'high_score'"):
        ranges_of(TrackSpec(), ["high_scor"])

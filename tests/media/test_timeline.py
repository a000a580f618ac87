from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.timeline import TimeLine

MS = 1_000_000


def placed(stamps: list[int | None], base: Fraction = Fraction(1, 1000)) -> tuple[list[int], dict]:
    faults: Counter[str] = Counter()
    timeline = TimeLine(base, 40 * MS, faults)
    return [timeline.place(stamp) for stamp in stamps], dict(faults)


@pytest.mark.parametrize(
    ("stamps", "expected_ms", "faults"),
    [
        ([500, 540, 600, 610], [0, 40, 100, 110], {}),
        ([0, 40, None, 120], [0, 40, 80, 120], {"pts_missing": 1}),
        ([None, None, 700], [0, 40, 80], {"pts_missing": 2}),
        ([0, 40, 40, 80], [0, 40, 60, 80], {"pts_repeated": 1}),
        ([0, 40, 30, 120], [0, 40, 60, 120], {"pts_repeated": 1}),
        ([5000, 5040, 0, 40], [0, 40, 80, 120], {"pts_restarted": 1}),
        ([0, 40, 9_000_000, 9_000_040], [0, 40, 9_000_000, 9_000_040], {}),
    ],
    ids=[
        "variable rate from any start",
        "a missing stamp takes one interval",
        "stamps may begin late",
        "a repeated stamp takes half an interval and the line catches up",
        "a stamp slightly back likewise",
        "a clock set anew is anchored",
        "a pause is kept",
    ],
)
def test_repairs(stamps: list[int | None], expected_ms: list[int], faults: dict) -> None:
    assert placed(stamps) == ([ms * MS for ms in expected_ms], faults)


def test_a_clock_set_anew_begins_an_epoch() -> None:
    timeline = TimeLine(Fraction(1, 1000), 40 * MS, Counter())
    epochs = []
    for stamp in (5000, 5040, 0, 40, 80):
        timeline.place(stamp)
        epochs.append(timeline.epoch)
    assert epochs == [0, 0, 1, 1, 1]


def test_decoding_times_serve_where_the_container_has_no_others() -> None:
    faults: Counter[str] = Counter()
    timeline = TimeLine(Fraction(1, 10), 100 * MS, faults)
    stamps = [timeline.place(None, dts) for dts in (2, 3, 5, None, None)]
    assert stamps == [0, 100 * MS, 300 * MS, 400 * MS, 500 * MS]
    assert not faults


def test_what_is_left_out_takes_its_time() -> None:
    timeline = TimeLine(Fraction(1, 1000), 40 * MS, Counter())
    assert [timeline.place(None, steps=steps) for steps in (1, 25, 1)] == [0, 1000 * MS, 1040 * MS]


def test_an_hour_of_ntsc_does_not_drift() -> None:
    count = 107_892
    stamps, _ = placed([0, count * 1001], Fraction(1, 30_000))
    assert stamps[1] == round(Fraction(count * 1001 * 10**9, 30_000))


@given(st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=60))
def test_time_always_increases(stamps: list[int | None]) -> None:
    times, faults = placed(stamps)
    assert all(later > earlier for earlier, later in pairwise(times))
    assert faults.get("pts_missing", 0) == stamps.count(None)

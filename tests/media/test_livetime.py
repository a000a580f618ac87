"""A camera's clock against that of this machine; all times in milliseconds."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.livetime import LiveTimeLine

MS = 1_000_000
Stamps = list[tuple[int | None, int]]


def placed(stamps: Stamps) -> tuple[list[int | None], list[int], dict[str, int]]:
    """Of stamps and arrivals: the times, the epochs, and what was counted."""
    faults: Counter[str] = Counter()
    line = LiveTimeLine(faults)
    times, epochs = [], []
    for stamp, arrival in stamps:
        pts_ns = line.place(None if stamp is None else stamp * MS, arrival * MS)
        times.append(None if pts_ns is None else round(pts_ns / MS))
        epochs.append(line.epoch)
    return times, epochs, dict(faults)


@pytest.mark.parametrize(
    ("stamps", "times", "epochs", "faults"),
    [
        ([(900, 50), (940, 95), (980, 130)], [0, 40, 80], [0, 0, 0], {}),
        (
            [(0, 0), (40, 40), (100_040, 80), (100_080, 120)],
            [0, 40, 80, 120],
            [0, 0, 1, 1],
            {"pts_jumped": 1},
        ),
        (
            [(5000, 0), (5040, 40), (0, 80), (40, 120)],
            [0, 40, 80, 120],
            [0, 0, 1, 1],
            {"pts_restarted": 1},
        ),
        ([(0, 0), (0, 40), (0, 80), (40, 120)], [0, 40, 80, 120], [0] * 4, {"pts_repeated": 2}),
        ([(500, 0), (540, 40), (200, 80), (240, 120)], [0, 40, 80, 120], [0] * 4,
         {"pts_repeated": 1}),
        ([(0, 0), (None, 45), (80, 80)], [0, 45, 80], [0] * 3, {"pts_missing": 1}),
        ([(None, 10), (None, 50)], [0, 40], [0] * 2, {"pts_missing": 2}),
        ([(0, 0), (40, 6000), (80, 6040)], [0, 6000, 6040], [0, 1, 1], {"pts_late": 1}),
        ([(0, 0), (40, 3000), (80, 3001), (3040, 3040)], [0, 40, 81, 3041], [0] * 4, {}),
    ],
    ids=[
        "jitter of the network is not time",
        "a clock set forward",
        "a clock set back",
        "a clock that stands still",
        "a clock set back a little",
        "a frame without a stamp",
        "no stamps at all",
        "a backlog that does not go away",
        "what was held up keeps its time, but for 1 %",
    ],
)  # fmt: skip
def test_what_becomes_of_stamps(
    stamps: Stamps, times: list[int], epochs: list[int], faults: dict[str, int]
) -> None:
    assert placed(stamps) == (times, epochs, faults)


@pytest.mark.parametrize("drift", [-500e-6, 50e-6, 500e-6, 5e-3])
def test_a_clock_that_runs_wrong_is_followed(drift: float) -> None:
    """An hour at 5 fps."""
    faults: Counter[str] = Counter()
    line = LiveTimeLine(faults)
    last_ns = -1
    for index in range(18_000):
        arrival_ns = index * 200 * MS
        pts_ns = line.place(round(arrival_ns * (1 + drift)), arrival_ns)
        assert pts_ns is not None
        assert last_ns < pts_ns
        assert abs(pts_ns - arrival_ns) < 110 * MS
        last_ns = pts_ns
    assert not faults
    assert line.epoch == 0


def test_after_a_reconnect_time_has_passed() -> None:
    line = LiveTimeLine(Counter())
    assert [line.place(at * MS, at * MS) for at in (0, 40)] == [0, 40 * MS]
    line.anew()
    assert line.place(7, 9000 * MS) == 9000 * MS
    assert line.epoch == 1
    assert line.place(7 + 40 * MS, 9040 * MS) == 9040 * MS


def test_what_comes_before_a_moment_told_as_stalled_is_left_out() -> None:
    faults: Counter[str] = Counter()
    line = LiveTimeLine(faults)
    assert line.place(0, 0) == 0
    assert line.stalled(2000 * MS) == 2000 * MS
    *late, last = [line.place(stamp * MS, 2300 * MS) for stamp in (40, 1000, 1900, 2100)]
    assert late == [None, None, None]
    assert last == pytest.approx(2100 * MS, rel=0.01)
    assert faults == {"late": 3}


_STAMP = st.none() | st.integers(-(2**40), 2**40)
_EVENTS = st.lists(
    st.tuples(st.sampled_from(["frame", "stall", "anew"]), _STAMP, st.integers(0, 10**10)),
    max_size=60,
)


@given(_EVENTS)
def test_time_always_increases_and_stays_near_the_arrival(events: list) -> None:
    line = LiveTimeLine(Counter())
    now_ns, first_ns, times = 0, None, []
    for kind, stamp, passed_ns in events:
        now_ns += passed_ns
        if kind == "anew":
            line.anew()
            continue
        first_ns = now_ns if first_ns is None else first_ns
        pts_ns = line.stalled(now_ns) if kind == "stall" else line.place(stamp, now_ns)
        if pts_ns is not None:
            times.append(pts_ns)
            # Many frames at one moment need a nanosecond each.
            assert -5 * 10**9 <= pts_ns - (now_ns - first_ns) <= 2 * 10**9 + len(times)
    assert all(later > earlier for earlier, later in pairwise(times))

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.sampling import FrameSampler


def taken(fps: float, count: int, sampler: FrameSampler) -> list[int]:
    return [i for i in range(count) if sampler.take(i, round(i * 1e9 / fps))]


@pytest.mark.parametrize(
    ("fps", "max_fps", "expected"),
    [(25, None, 250), (25, 25, 250), (30, 30, 300), (29.97, 30, 300), (25, 50, 250)],
)
def test_nothing_is_lost_below_the_limit(fps: float, max_fps: float | None, expected: int) -> None:
    assert len(taken(fps, expected, FrameSampler(max_fps))) == expected


@pytest.mark.parametrize(("fps", "max_fps"), [(25, 15), (30, 10), (30, 7.5), (60, 25), (29.97, 24)])
def test_the_rate_is_met(fps: float, max_fps: float) -> None:
    assert len(taken(fps, round(fps * 20), FrameSampler(max_fps))) == pytest.approx(
        max_fps * 20, abs=1.01
    )


def test_every_counts_frames_of_the_source() -> None:
    assert taken(25, 10, FrameSampler(every=3)) == [0, 3, 6, 9]


def test_a_gap_is_not_made_up_for() -> None:
    sampler = FrameSampler(10)
    times_ms = [0, 100, 5000, 5010, 5050, 5100]
    assert [ms for ms in times_ms if sampler.take(0, ms * 1_000_000)] == [0, 100, 5000, 5100]


@given(
    st.lists(st.integers(1, 10**9), min_size=2, max_size=100),
    st.floats(0.5, 60, allow_nan=False),
)
def test_never_more_than_the_limit(gaps_ns: list[int], max_fps: float) -> None:
    sampler, now, times = FrameSampler(max_fps), 0, []
    for index, gap in enumerate(gaps_ns):
        now += gap
        if sampler.take(index, now):
            times.append(now)
    # A quarter of an interval of tolerance, once over any stretch.
    assert len(times) <= (times[-1] - times[0]) * max_fps / 1e9 + 1.26


@pytest.mark.parametrize("wrong", [{"max_fps": 0}, {"max_fps": float("nan")}, {"every": 0}])
def test_impossible_limits_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        FrameSampler(**wrong)

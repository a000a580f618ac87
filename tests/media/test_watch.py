import numpy as np
import pytest

from pipeline.media.watch import FreezeWatch, StallWatch

MS = 1_000_000
TICK_MS = 100


def told_at_ms(watch: StallWatch, until_ms: int) -> list[int]:
    return [ms for ms in range(0, until_ms, TICK_MS) if watch.overdue_s(ms * MS)]


@pytest.mark.parametrize("stall_s", [0.3, 0.5, 1.0, 2.0, 10.0])
def test_a_stall_is_told_in_time_and_again(stall_s: float) -> None:
    watch = StallWatch(stall_s)
    watch.heard(0)
    told = told_at_ms(watch, round(3.5 * stall_s * 1000))
    steps = np.diff([0, *told])
    assert len(told) >= 3
    assert (steps <= stall_s * 1000).all()
    assert (steps >= stall_s * 500).all()


def test_how_long_it_lasts_is_told() -> None:
    watch = StallWatch(2.0)
    watch.heard(1000 * MS)
    assert watch.overdue_s(2700 * MS) == 0
    assert watch.overdue_s(2800 * MS) == pytest.approx(1.8)
    assert watch.overdue_s(2900 * MS) == 0
    assert watch.overdue_s(4600 * MS) == pytest.approx(3.6)
    watch.heard(4700 * MS)
    assert watch.overdue_s(6400 * MS) == 0


def test_a_camera_that_never_was_there_is_not_stalled() -> None:
    assert not told_at_ms(StallWatch(1.0), 5000)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (48, 64), np.uint8)


def frozen_at(watch: FreezeWatch, seeds: list[int], fps: int = 10) -> list[int]:
    return [
        i for i, seed in enumerate(seeds) if watch.frozen(picture(seed), 10**9 + i * 10**9 // fps)
    ]


@pytest.mark.parametrize(
    ("seeds", "frozen"),
    [
        ([*range(30)], []),
        ([*range(5), *[5] * 15], list(range(15, 20))),
        ([0, 0, 0, 1] * 8, list(range(13, 32))),
        ([7] * 9 + [8] * 9, []),
        ([*range(24)] * 2, []),
    ],
    ids=[
        "everything is new",
        "one picture for a second",
        "few pictures in turn, as an encoder makes of one",
        "something new in time",
        "a loop of many pictures, as a recording played again and again",
    ],
)
def test_what_is_frozen(seeds: list[int], frozen: list[int]) -> None:
    assert frozen_at(FreezeWatch(1.0), seeds) == frozen


def test_the_smallest_noise_is_life() -> None:
    watch, still = FreezeWatch(1.0), picture(0)
    for index in range(40):
        image = still.copy()
        if index % 8 == 0:  # a key picture
            image[8 * (index % 5), index] ^= 1
        assert not watch.frozen(image, 10**9 + index * 100 * MS)


def test_silence_is_not_repetition() -> None:
    watch = FreezeWatch(1.0)
    assert [watch.frozen(picture(1), s * 10**9) for s in (1, 5, 9)] == [False] * 3


def test_nobody_wants_to_know() -> None:
    assert not frozen_at(FreezeWatch(0.0), [1] * 50)

import random

import pytest

from pipeline.media.backoff import Backoff


class Always(random.Random):
    """Chance that always falls the same way."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._share


@pytest.mark.parametrize(
    ("share", "pauses"),
    [
        (1.0, [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]),
        (0.0, [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]),
    ],
)
def test_pauses_double_up_to_the_limit(share: float, pauses: list[float]) -> None:
    backoff = Backoff(2.0, Always(share))
    assert [backoff.next_s() for _ in pauses] == pytest.approx(pauses)
    backoff.reset()
    assert backoff.next_s() == pytest.approx(pauses[0])


def test_a_limit_below_the_first_pause_holds() -> None:
    backoff = Backoff(0.02, random.Random(1))
    assert all(0.01 <= backoff.next_s() <= 0.02 for _ in range(20))


def test_two_cameras_do_not_keep_step() -> None:
    one, two = Backoff(2.0), Backoff(2.0)
    assert [one.next_s() for _ in range(8)] != [two.next_s() for _ in range(8)]

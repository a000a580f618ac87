from dataclasses import replace

import pytest

from pipeline.doctor import clock
from pipeline.doctor.check import Grade
from pipeline.doctor.clock import Clocks

RIGHT = Clocks(1_790_000_000.0, True, 3.0, 1e-9, True)


@pytest.mark.parametrize(
    ("change", "grades"),
    [
        ({}, (Grade.OK, Grade.OK)),
        ({"synchronised": False}, (Grade.WARN, Grade.OK)),
        ({"synchronised": None}, (Grade.WARN, Grade.OK)),
        ({"utc_s": 120.0}, (Grade.FAIL, Grade.OK)),
        ({"utc_s": 120.0, "synchronised": False}, (Grade.FAIL, Grade.OK)),
        ({"monotonic": False}, (Grade.OK, Grade.FAIL)),
        ({"resolution_s": 0.0156}, (Grade.OK, Grade.FAIL)),
    ],
)
def test_the_clocks(change: dict, grades: tuple[Grade, Grade]) -> None:
    checks = clock.check(replace(RIGHT, **change))
    assert tuple(check.grade for check in checks) == grades
    assert all(bool(check.remedy) == (check.grade is not Grade.OK) for check in checks)


def test_what_is_right_says_how_right() -> None:
    assert clock.check(RIGHT)[0].found == "2026-09-21 14:13:20 UTC, right within 3 ms"


def test_the_clocks_of_this_machine() -> None:
    found = clock.read()
    assert found.monotonic
    assert found.utc_s > RIGHT.utc_s - 5e8

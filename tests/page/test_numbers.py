"""Numbers as people read them."""

from __future__ import annotations

import pytest

from pipeline.page import numbers


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (576, "B", "576 B"),
        (2304, "B", "2.30 kB"),
        (1_234_567, "B", "1.23 MB"),
        (74_800_000, "", "74.8 M"),
        (3e15, "B", "3000 TB"),
        (0.00474, "s", "4.74 ms"),
        (118e-6, "s", "118 µs"),
        (1.5, "s", "1.50 s"),
        (1000, "", "1.00 k"),
        (80.03, "", "80.03"),
        (2e-12, "s", "0.00200 ns"),
        (-0.0012, "s", "-1.20 ms"),
        (None, "s", "–"),
    ],
)
def test_quantity(value: float | None, unit: str, text: str) -> None:
    assert numbers.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "100.0 %"), (0.1234, "12.3 %"), (0.0002, "< 0.1 %"), (0, "0.0 %"), (None, "–")],
)
def test_share(value: float | None, text: str) -> None:
    assert numbers.share(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(12.345, 1, "12.3"), (-0.0004, 2, "0.00"), (3, 0, "3"), (None, 4, "–")],
)
def test_decimal(value: float | None, digits: int, text: str) -> None:
    assert numbers.decimal(value, digits) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (750, "12:30"), (3723, "1:02:03"), (-1, "0:00"), (None, "–")],
)
def test_clock(seconds: float | None, text: str) -> None:
    assert numbers.clock(seconds) == text


def test_shape() -> None:
    assert numbers.shape([1, 3, 288, 512]) == "1 × 3 × 288 × 512"

"""Drops and the gate."""

from __future__ import annotations

import pytest

from pipeline.errors import DataError
from pipeline.evaluation.report import parse_limits
from pipeline.quantisation.figures import Figure, judge, known_limits

NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "reference", "candidate", "drop"),
    [("HOTA", 70.0, 68.5, 1.5), ("AP50", 0.5, 0.6, -0.1), ("IDSW", 3, 7, 4), ("IDSW", 3, 1, -2)],
)
def test_a_drop_is_how_much_worse_it_is(
    name: str, reference: float, candidate: float, drop: float
) -> None:
    assert Figure(name, reference, candidate).drop == pytest.approx(drop)


@pytest.mark.parametrize(
    ("figures", "complaint"),
    [
        ([Figure("HOTA", 70.0, 69.0)], ""),
        ([Figure("HOTA", 70.0, 75.0)], ""),
        (
            [Figure("HOTA", 70.0, 68.75)],
            "HOTA drops by 1.25 (from 70 to 68.75), more than 1",
        ),
        (
            [Figure("HOTA", 70.0, NAN)],
            "HOTA is not defined (from 70 to nan), so its drop cannot be held to 1",
        ),
        (
            [Figure("MOTA", 70.0, 70.0)],
            "HOTA was not measured, so its drop cannot be held to 1",
        ),
    ],
)
def test_the_gate(figures: list[Figure], complaint: str) -> None:
    limits = known_limits(parse_limits(["hota=1.0"], is_minimum=False))
    (verdict,) = judge(figures, limits)
    assert (verdict.name, verdict.allowed, verdict.complaint) == ("HOTA", 1.0, complaint)


def test_a_limit_that_is_no_number_holds_nothing() -> None:
    (verdict,) = judge([Figure("HOTA", 70.0, 70.0)], {"HOTA": NAN})
    assert verdict.complaint


def test_an_unknown_figure_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"no figure is called 'hotta'; there are AP50, .*IDSW"):
        known_limits(parse_limits(["hotta=1"], is_minimum=False))

"""Average precision of detections, worked out by hand."""

import math

import pytest

from pipeline.evaluation.detection_ap import average_precision, average_precisions, summary
from pipeline.evaluation.evaluate import Rules
from pipeline.evaluation.mot_files import ANY_CLASS, MotTable, table_from_rows

ONE, TWO, NOWHERE = 0.0, 100.0, 500.0


def _gt(*lefts: float, flag: int = 1, label: int = 1) -> list[tuple[float, ...]]:
    return [(1, i, left, 0, 10, 10, flag, label) for i, left in enumerate(lefts)]


def _found(*detections: tuple[float, float], label: int = 1) -> MotTable:
    return table_from_rows([(1, -1, left, 0, 10, 10, s, label) for left, s in detections])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(ONE, 0.9), (TWO, 0.8)], 1.0),
        ([], 0.0),
        ([(NOWHERE, 0.9)], 0.0),
        # recall levels 0 … 0.50 with precision 1, the rest never reached
        ([(ONE, 0.9)], 51 / 101),
        # a false one after everything was found costs nothing
        ([(ONE, 0.9), (TWO, 0.8), (NOWHERE, 0.7)], 1.0),
        # a false one first: precision 1/2, then 2/3, and the better one holds for all below
        ([(NOWHERE, 0.9), (ONE, 0.8), (TWO, 0.7)], 2 / 3),
        # a second detection of the same object is false
        ([(ONE, 0.9), (ONE, 0.8), (TWO, 0.7)], (51 + 50 * 2 / 3) / 101),
        # confidences of any range
        ([(ONE, 90.0), (TWO, -3.0)], 1.0),
    ],
)
def test_two_objects(found: list[tuple[float, float]], expected: float) -> None:
    gt = table_from_rows(_gt(ONE, TWO))
    assert average_precision(gt, _found(*found)) == pytest.approx(expected)


def test_a_third_detection_of_one_object_takes_no_other_from_the_next() -> None:
    gt = table_from_rows(_gt(ONE, 4.0))
    found = _found((ONE, 0.9), (4.0, 0.8), (2.0, 0.7))
    assert average_precision(gt, found, iou=0.3) == 1.0


def test_what_lies_in_an_ignore_region_does_not_count() -> None:
    region = [(1, 9, NOWHERE, 0, 100, 100, 0, 1)]
    gt = table_from_rows(_gt(ONE) + region)
    found = _found((NOWHERE + 20, 0.99), (NOWHERE + 60, 0.98), (ONE, 0.5))
    assert average_precision(gt, found) == 1.0


def test_nothing_to_find_has_no_precision() -> None:
    assert math.isnan(average_precision(table_from_rows([]), _found((ONE, 0.9))))


def test_classes_are_scored_apart() -> None:
    gt = table_from_rows(_gt(ONE) + _gt(TWO, label=2))
    assert average_precisions(gt, _found((ONE, 0.9), (TWO, 0.8))) == {1: 1.0, 2: 0.0}
    scores = summary(gt, _found((ONE, 0.9), (TWO, 0.8)), Rules())
    assert scores == {"AP50": 50.0, "AP50.1": 100.0, "AP50.2": 0.0}
    assert summary(gt, _found((ONE, 0.9)), Rules(classes=(1,))) == {"AP50": 100.0}


def test_detections_without_classes_are_scored_as_one_class() -> None:
    gt = table_from_rows(_gt(ONE) + _gt(TWO, label=2))
    found = _found((ONE, 0.9), (TWO, 0.8), label=ANY_CLASS)
    assert average_precisions(gt, found) == {ANY_CLASS: 1.0}

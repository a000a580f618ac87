"""The track-ID screening rules, each on a track that passes and one that does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.errors import ConfigError
from pipeline.tracking.book import CONFIRMED, Book
from pipeline.tracking.screening import ScreeningSpec, screened

SECOND = 1_000_000_000
LEFT = {"points": [[0, 0], [50, 0], [50, 200], [0, 200]], "unit": "pixels"}


def _hit(book: Book, boxes: list[list[float]], scores: list[float], labels: list[int]) -> None:
    found = Detections(
        np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels, np.int32)
    )
    book.hit(np.arange(2), found, 2 * SECOND)


@pytest.fixture
def book() -> Book:
    """Track 1: since 0 s, small, sure, on the left, always class 0. Track 2: since 1 s, large,
    unsure, on the right, class 1 with a share of 0.6."""
    book = Book()
    book.append(np.array([1]), CONFIRMED, 0)
    book.append(np.array([2]), CONFIRMED, SECOND)
    _hit(book, [[0, 0, 10, 20], [100, 0, 140, 100]], [0.9, 0.6], [0, 1])
    _hit(book, [[0, 0, 10, 20], [100, 0, 140, 100]], [0.7, 0.4], [0, 0])
    return book


@pytest.mark.parametrize(
    ("rules", "passed"),
    [
        ({}, [True, True]),
        ({"min_score": 0.5}, [True, True]),
        ({"min_score": 0.6}, [True, False]),
        ({"min_area": 1000.0}, [False, True]),
        ({"min_dwell_s": 1.0}, [True, True]),
        ({"min_dwell_s": 1.5}, [True, False]),
        ({"classes": [0]}, [True, False]),
        ({"classes": [1, 7]}, [False, True]),
        ({"class_share": 0.55}, [True, True]),
        ({"class_share": 0.65}, [True, False]),
        ({"zones": [LEFT]}, [True, False]),
        ({"zones": [LEFT | {"exclude": True}]}, [False, True]),
        ({"zones": [LEFT], "min_area": 1000.0}, [False, False]),
    ],
)
def test_rules(book: Book, rules: dict[str, object], passed: list[bool]) -> None:
    assert screened(book, ScreeningSpec.model_validate(rules), 2 * SECOND).tolist() == passed


@pytest.mark.parametrize(("rule", "passed"), [("now", [False, True]), ("once", [True, True])])
def test_a_track_that_leaves_a_zone(book: Book, rule: str, passed: list[bool]) -> None:
    spec = ScreeningSpec.model_validate({"zones": [LEFT], "zone_rule": rule})
    assert screened(book, spec, 2 * SECOND).tolist() == [True, False]
    _hit(book, [[90, 0, 110, 20], [10, 0, 50, 100]], [0.9, 0.6], [0, 1])
    assert screened(book, spec, 3 * SECOND).tolist() == passed


def test_fractions_need_a_picture() -> None:
    spec = ScreeningSpec.model_validate({"zones": [{"points": [[0, 0], [1, 0], [1, 0.5]]}]})
    assert spec.in_pixels((200, 100)).zones[0].points == ((0, 0), (200, 0), (200, 50))
    with pytest.raises(ConfigError, match="fractions of the picture, whose size is not known"):
        spec.in_pixels(None)
    assert ScreeningSpec().in_pixels(None) == ScreeningSpec()


def test_classes_by_name() -> None:
    spec = ScreeningSpec(classes=("car", 5))
    assert spec.numbered(["person", "car"]).classes == (1, 5)
    with pytest.raises(ConfigError, match="no label 'car'; did you mean 'cat'"):
        spec.numbered(["person", "cat"])
    with pytest.raises(ConfigError, match="no label 'car'; write its number"):
        spec.numbered([])


def test_read_from_a_configuration_file() -> None:
    rules = {"classes": ["person"], "zones": [LEFT]}
    assert ScreeningSpec.model_validate_json(json.dumps(rules)) == ScreeningSpec.model_validate(
        rules
    )

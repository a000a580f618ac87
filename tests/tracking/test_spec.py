"""The `track:` section takes what is right and names what is wrong."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.tracking.spec import TrackSpec


def test_the_section_of_the_documentation() -> None:
    spec = TrackSpec.model_validate(
        {"motion": "kalman", "association": ["high", "low", "reid"], "max_lost_s": 2.0}
    )
    assert spec == TrackSpec()


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"max_lost": 2}, "max_lost"),
        ({"max_lost_s": -1}, "max_lost_s"),
        ({"max_lost_s": float("inf")}, "max_lost_s"),
        ({"min_hits": 0}, "min_hits"),
        ({"min_hits": 2.5}, "min_hits"),
        ({"min_hits": "3"}, "min_hits"),
        ({"high_score": 60}, "high_score"),
        ({"motion": "particle"}, "motion"),
        ({"association": ["middle"]}, "association"),
        ({"association": ["high", "high"]}, "association"),
        ({"association": []}, "association"),
        ({"iou": {"high": 0}}, "iou"),
        ({"iou": {"reid": 0.5}}, "iou"),
        ({"high_score": 0.2, "low_score": 0.3}, "low_score 0.3 is above high_score 0.2"),
    ],
)
def test_wrong_values(section: dict[str, object], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        TrackSpec.model_validate(section)


def test_every_key_says_what_it_means() -> None:
    for name, field in TrackSpec.model_fields.items():
        assert field.description, name


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrackSpec().min_hits = 1  # type: ignore[misc]

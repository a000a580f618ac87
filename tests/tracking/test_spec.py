"""The `track:` section takes what is right and names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.tracking import presets
from pipeline.tracking.spec import TrackSpec


def test_the_section_of_the_documentation() -> None:
    written = {"motion": "kalman", "association": ["high", "low", "reid"], "max_lost_s": 2.0}
    spec = TrackSpec.model_validate(written | {"min_hits": 3})
    assert spec == TrackSpec(association=("high", "low", "reid"), min_hits=3)
    assert spec.rounds == TrackSpec().rounds


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
        ({"association": ["low"]}, "no round takes tentative tracks"),
        ({"association": ["high", "middle"]}, "there is no round 'middle'; there are: high, low"),
        ({"rounds": {"high": {"at_least": 0}}}, "at_least"),
        ({"rounds": {"high": {"similarity": "looks"}}}, "similarity"),
        ({"preset": "bytetrak"}, "there is no preset 'bytetrak'; there are sightline, sort"),
        ({"preset": "nowhere.yaml"}, "nowhere.yaml cannot be read"),
        ({"high_score": 0.2, "low_score": 0.3}, "low_score 0.3 is above high_score 0.2"),
    ],
)
def test_wrong_values(section: dict[str, object], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        TrackSpec.model_validate(section)


@pytest.mark.parametrize("name", presets.NAMES)
def test_presets(name: str) -> None:
    spec = TrackSpec(preset=name)
    assert spec == TrackSpec.model_validate_json(spec.model_dump_json())
    changed = TrackSpec(preset=name, rounds={spec.association[0]: {"at_least": 0.77}})
    first, *others = spec.association
    assert changed.rounds[first].at_least == 0.77
    assert changed.rounds[first].tracks == spec.rounds[first].tracks
    assert all(changed.rounds[other] == spec.rounds[other] for other in others)


def test_what_the_default_preset_leaves_out_is_the_default() -> None:
    """So that the reference of all keys tells what runs."""
    spec = TrackSpec()
    for name, field in TrackSpec.model_fields.items():
        if name not in ("association", "rounds"):
            assert getattr(spec, name) == field.default, name


def test_a_preset_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: ocsort\nmin_hits: 5\n")
    spec = TrackSpec(preset=str(path), max_lost_s=3)
    assert (spec.min_hits, spec.max_lost_s) == (5, 3)
    assert spec.rounds == TrackSpec(preset="ocsort").rounds


def test_presets_that_name_each_other_end(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"preset: {path}\n")
    with pytest.raises(ValidationError, match="a preset in a file may build on"):
        TrackSpec(preset=str(path))


@pytest.mark.parametrize("text", ["- a\n", "{", "\x00"])
def test_what_is_no_preset(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ValidationError, match=r"broken\.yaml"):
        TrackSpec(preset=str(path))


def test_every_key_says_what_it_means() -> None:
    for name, field in TrackSpec.model_fields.items():
        assert field.description, name


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrackSpec().min_hits = 1  # type: ignore[misc]

"""The documented keys are the real ones."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.reference import reference

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_documentation_has_every_key() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    generated = text.partition("## All keys\n")[2].partition("\n### ")
    assert "### " + generated[2] == reference(), "put `sightline schema --markdown` at the end"

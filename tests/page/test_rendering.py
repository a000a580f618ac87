"""Every page: whole, harmless, and on its own."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from pipeline.page.rendering import render
from tests.page.reading import read

NASTY = "<script>alert(1)</script>"


def test_the_base_of_all_pages() -> None:
    page = render("base.html", title="A & B", sections=[("one", NASTY)], footer=NASTY)
    found = read(page)
    assert page.startswith("<!doctype html>")
    assert found.text("title") == "A & B"
    assert found.anchors == ["top", "one"]
    assert NASTY in found.text("footer")
    assert "script" not in found.tags
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="footer"):
        render("base.html", title="", sections=[])

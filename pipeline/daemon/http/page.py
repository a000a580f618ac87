"""The page for people: three files that refer to nothing outside themselves."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_KINDS = (
    ("/", "page.html", "text/html"),
    ("/page.js", "page.js", "text/javascript"),
    ("/page.css", "page.css", "text/css"),
)

#: Path, content and media type of each.
FILES = tuple((path, (_FOLDER / name).read_text("utf-8"), kind) for path, name, kind in _KINDS)

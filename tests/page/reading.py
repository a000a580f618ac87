"""Reads a page as a browser would, and refuses what none should hold."""

from __future__ import annotations

from collections import defaultdict
from html.parser import HTMLParser

#: Elements without an end.
_VOID = ("meta", "rect", "path", "br", "img")
#: Attributes by which a page would fetch something.
_REFERENCES = ("src", "srcset", "data", "action", "poster", "background")


class Page(HTMLParser):
    """What a page holds.

    Attributes:
        tags: all that occur.
        ids: of its elements.
        anchors: that its links lead to, in order.
        rows: cells of all table rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags = set[str]()
        self.ids = list[str]()
        self.anchors = list[str]()
        self.rows = list[list[str]]()
        self._open = list[str]()
        self._texts: dict[str, list[str]] = defaultdict(list)

    def text(self, tag: str) -> str:
        """What stands in all elements of a kind."""
        return "".join(self._texts[tag])

    def listed(self, tag: str) -> list[str]:
        """What stands in each element of a kind."""
        return self._texts[tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        if tag == "img" and str(given.get("src")).startswith("data:image/"):
            del given["src"]  # the picture itself
        assert not [name for name in given if name.startswith("on") or name in _REFERENCES]
        if "href" in given:
            assert given["href"].startswith("#"), f"{given['href']} is outside"
            self.anchors.append(given["href"][1:])
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _VOID:
            self._open.append(tag)
            self._texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self._texts[tag][-1] += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data.strip()

    def close(self) -> None:
        super().close()
        assert not self._open
        assert len(self.ids) == len(set(self.ids))
        assert "link" not in self.tags
        assert "@import" not in self.text("style")
        assert "url(" not in self.text("style")


def read(page: str) -> Page:
    """A page that is whole: what is open is closed, and it refers to nothing outside."""
    found = Page()
    found.feed(page)
    found.close()
    return found

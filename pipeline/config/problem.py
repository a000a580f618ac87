"""What is wrong with a configuration, and where: one `Problem` a mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

#: More are too many to read.
_MOST_NAMES = 12

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written.

    Attributes:
        source: the file's name, or the ``--set`` argument.
        line: from 1; 0 where lines mean nothing.
        column: from 1; 0 where columns mean nothing.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, told in one line.

    Attributes:
        place: where it is written.
        path: the key's way from the top, such as ``("stages", "detect", "workers")``.
        message: what was expected and what was found.
        remedy: what to write instead; may be empty.
    """

    place: Place
    path: KeyPath
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {spell(self.path)}: " if self.path else f"{self.place}: "
        return f"{head}{self.message}" + (f"; {self.remedy}" if self.remedy else "")


def spell(path: KeyPath) -> str:
    """A path as people write it: ``outputs[1].udp.to``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def suggest(word: str, known: Iterable[str]) -> str:
    """A remedy for a word that is not among the known ones."""
    names = sorted(known)
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    if close := difflib.get_close_matches(word, names, n=1) or begun:
        return f"did you mean '{close[0]}'?"
    if len(names) > _MOST_NAMES:
        nearest = difflib.get_close_matches(word, names, n=_MOST_NAMES // 2, cutoff=0.0)
        return f"the nearest are {', '.join(nearest)}"
    return f"known here: {', '.join(names)}" if names else ""

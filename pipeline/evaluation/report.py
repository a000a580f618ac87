"""Scores as a table for people, as plain objects for machines, and held against limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipeline.errors import DataError

COMBINED = "combined"
"""Name of the row over all sequences."""

SHOWN = ("HOTA", "DetA", "AssA", "MOTA", "MOTP", "IDF1", "IDSW", "Frag", "FP", "FN")
"""The scores of a tracker that fit in a table, by their usual names."""

Summaries = Mapping[str, Mapping[str, float]]
"""Score by name of each sequence; ratios in percent, counts as they are."""


def as_table(summaries: Summaries, title: str = "") -> Table:
    """The usual scores, a row a sequence; ratios in percent."""
    columns = next(iter(summaries.values()), {})
    shown = [name for name in SHOWN if name in columns] or list(columns)
    table = Table(title=title or None, box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("sequence", overflow="fold")
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for sequence, scores in summaries.items():
        if sequence == COMBINED:
            table.add_section()
        table.add_row(sequence, *(as_text(scores[name]) for name in shown))
    return table


def as_plain(summaries: Summaries) -> dict[str, dict[str, float | None]]:
    """All scores, one object a sequence; a score that is not defined is None."""
    return {
        sequence: {name: None if math.isnan(value) else value for name, value in scores.items()}
        for sequence, scores in summaries.items()
    }


def as_text(value: float) -> str:
    """A ratio with one digit, a count as it is."""
    if math.isnan(value):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Limit:
    """What a score must reach, or must not exceed."""

    name: str
    value: float
    is_minimum: bool

    def misses(self, scores: Mapping[str, float]) -> str:
        """Says how the scores miss the limit; empty where they keep it.

        Raises:
            DataError: there is no such score.
        """
        known = {name.lower(): name for name in scores}
        if self.name.lower() not in known:
            raise DataError(f"no score is called {self.name!r}; there are {', '.join(scores)}")
        name = known[self.name.lower()]
        score = scores[name]
        kept = score >= self.value if self.is_minimum else score <= self.value
        if kept:
            return ""
        return f"{name} is {score:.6g}, {'below' if self.is_minimum else 'above'} {self.value:g}"


def parse_limits(texts: Sequence[str], *, is_minimum: bool) -> list[Limit]:
    """Limits from texts such as ``mota=75``.

    Raises:
        DataError: a text is not a name and a number.
    """
    limits = []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            limits.append(Limit(name.strip(), float(value), is_minimum))
        except ValueError as error:
            raise DataError(f"a limit is a score and a number (mota=75), not {text!r}") from error
    return limits

"""The results as Markdown: for the terminal, for RESULTS.md and inside other pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness import Row

_HEAD = (
    "| measured | median | beside it | median | ratio | goal | |\n|---|---:|---|---:|---:|---|---|"
)


def table(rows: Sequence[Row]) -> str:
    """One benchmark's rows."""
    return "\n".join([_HEAD, *map(_line, rows)])


def page(machine: str, kind: str, tables: Mapping[str, tuple[str, Sequence[Row]]]) -> str:
    """The whole page.

    Args:
        machine: a line about it.
        kind: of run.
        tables: for each benchmark its description and its rows.
    """
    parts = [
        "# Benchmark results",
        "Written by `python -m benchmarks`; see `benchmarks/harness.py` for how it measures. "
        "Variants run in turn within one run. Look at the ratios: the absolute numbers belong to "
        "the machine and to what else it was doing.",
        f"Machine: {machine}. {kind}",
    ]
    for name, (about, rows) in tables.items():
        parts += [f"## {name}", about, table(rows)]
    return "\n\n".join(parts) + "\n"


def rewrite(page: Path, mark: str, text: str) -> None:
    """Puts the text between ``<!-- MARK: begin -->`` and ``<!-- MARK: end -->`` of a page."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _line(row: Row) -> str:
    beside = other = ratio = goal = verdict = ""
    if row.other:
        beside, ratio = row.beside, f"{row.ratio:.3g}×"
        other = _number(sorted(row.other)[len(row.other) // 2], row.unit)
    if row.goal is not None:
        sign = "≤" if row.goal.kind == "at most" else "≥"
        unit = "×" if row.goal.what == "ratio" else f" {row.unit}"
        goal = f"{sign}{row.goal.limit:g}{unit}"
        verdict = "met" if row.goal.met(row) else "**missed**"
    cells = (row.what, _number(row.value, row.unit), beside, other, ratio, goal, verdict)
    return "| " + " | ".join(cells) + " |"


def _number(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"

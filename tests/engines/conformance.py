"""``python -m tests.engines.conformance``: writes the contract's tables into docs/engines.md.

A row for each subject that is installed, a column for each part of the contract; a second table has
how far each real network is from ONNX Runtime in fp32.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "engines.md"
BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"
SIGNS = {"failed": "✗", "passed": "✓", "skipped": "–"}  # the first that happened is shown


class Recorder:
    """A pytest plugin that remembers what became of each test, by subject and column."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.differences: dict[tuple[str, str], str] = {}
        self._where: dict[str, tuple[str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marker = item.get_closest_marker("conformance")
            parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
            if marker and "subject" in parameters:
                self._where[item.nodeid] = (str(parameters["subject"]), marker.args[0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        where = self._where.get(report.nodeid)
        if where is None:
            return
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[where].add(report.outcome)
        for name, value in report.user_properties:
            if name.startswith("network "):
                self.differences[where[0], name.removeprefix("network ")] = str(value)

    def contract(self) -> str:
        """The table of the contract."""
        signs = {
            where: SIGNS[
                "failed" if "failed" in found else "passed" if "passed" in found else "skipped"
            ]
            for where, found in self.outcomes.items()
        }
        return _table(signs, "backend")

    def networks(self) -> str:
        """The table of the real networks."""
        return _table(self.differences, "largest difference, relative")


def _table(cells: dict[tuple[str, str], str], corner: str) -> str:
    rows = dict.fromkeys(subject for subject, _ in cells)
    columns = list(dict.fromkeys(column for _, column in cells))
    lines = ["| " + " | ".join([corner, *columns]) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        "| " + " | ".join([row, *(cells.get((row, column), "–") for column in columns)]) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs, writes the tables, and gives pytest's exit code."""
    recorder = Recorder()
    files = [str(HERE / "test_contract.py"), str(HERE / "test_networks.py")]
    code = pytest.main(["-q", "-p", "no:cacheprovider", *files, *sys.argv[1:]], plugins=[recorder])
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    tables = f"{BEGIN}\n{recorder.contract()}\n\n{recorder.networks()}\n{END}"
    PAGE.write_text(before + tables + after, encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

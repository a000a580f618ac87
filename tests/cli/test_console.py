"""Where tables go: text comes out as it went in."""

from __future__ import annotations

import pytest
from rich.table import Table

from pipeline.cli.console import console


def test_an_extra_in_brackets_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("missing")
    table.add_row("run: pip install 'sightline[torch]'; see :eyes:")
    console().print(table)
    assert "run: pip install 'sightline[torch]'; see :eyes:" in capsys.readouterr().out

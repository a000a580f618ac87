"""Where tables go: as wide as the terminal, or wide enough where there is none."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column

_WIDTH = 160  # columns, where the output is a file or a pipe and nothing should be cut


def console() -> Console:
    """A console on stdout, which shows text as it is: `sightline[torch]` is no markup."""
    found = Console(markup=False, emoji=False)
    return found if found.is_terminal else Console(markup=False, emoji=False, width=_WIDTH)


def numbers(*names: str) -> list[Column]:
    """Columns of numbers, right-aligned."""
    return [Column(name, justify="right") for name in names]

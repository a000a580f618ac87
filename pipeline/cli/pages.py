"""Where pages go."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pipeline.output.files import LineFile


def write_page(path: Path, page: str) -> None:
    """Writes an HTML page; with its name it is complete.

    Raises:
        OutputError: it cannot be written.
    """
    with closing(LineFile(path)) as file:
        file.write(page)
        file.finish()

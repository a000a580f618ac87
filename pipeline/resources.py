"""Where the files are that travel with the program: configurations, models, sample videos."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """A folder that travels with the program.

    Args:
        folder: ``configs``, ``models`` or ``sample_videos``.

    Returns:
        The one inside the installed package, else the repository's.
    """
    installed = _PACKAGE / "shipped" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder

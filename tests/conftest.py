"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real models and videos; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SIGHTLINE_ASSETS", REPOSITORY / "../shared/assets")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real models and videos at {folder} (set SIGHTLINE_ASSETS)")
    return folder

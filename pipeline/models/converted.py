"""Where converted networks lie, and which of them are whole.

``<cache>/converted/<sha256 of the source>/<format>-<precision>/`` holds one network and its
``report.json``, whose ``network`` says ``file``, ``format``, ``precision`` and ``sha256``. The
folder appears by a rename when both are complete.
"""

from __future__ import annotations

import json
from pathlib import Path

from engines import Network
from pipeline.errors import ModelError
from pipeline.models.catalogue import cache_folder
from pipeline.models.download import file_sha256

REPORT = "report.json"


def converted_folder(source_sha256: str) -> Path:
    """The folder of everything that was converted from one file."""
    return cache_folder() / "converted" / source_sha256


def find_converted(source_sha256: str) -> tuple[Network, ...]:
    """The networks converted from the file with this hash, without declared tensors.

    Raises:
        ModelError: one of them is not what its report says.
    """
    reports = sorted(converted_folder(source_sha256).glob(f"*-*/{REPORT}"))
    return tuple(_read(report) for report in reports)


def _read(report: Path) -> Network:
    remedy = f"remove {report.parent} and convert again"
    try:
        network = json.loads(report.read_text(encoding="utf-8"))["network"]
        path = report.parent / Path(network["file"]).name
        found, expected = file_sha256(path), network["sha256"]
        format_, precision = str(network["format"]), str(network["precision"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{report}: cannot be read: {error!r}; {remedy}") from None
    if found != expected:
        raise ModelError(f"{path}: expected sha256 {expected}, found {found}; {remedy}")
    return Network(path, format_, sha256=found, precision=precision)

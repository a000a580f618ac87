"""Files and folders that are there in whole or not at all, whenever the power goes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(path: Path, data: bytes) -> None:
    """Writes a file under another name, and gives it its name once it is on the disk.

    Raises:
        OSError: it cannot be; the file that had the name stays, and nothing else is left.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    flush(path.parent)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """The same for a mapping, which is always written in the same way; raises as `write`."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    write(path, text.encode() + b"\n")


def move(folder: Path, place: Path) -> None:
    """Moves a folder and all that is in it to its place, in one step for whoever looks there.

    Raises:
        OSError: it cannot be; the folder stays where it is.
    """
    for path in (*folder.rglob("*"), folder):
        flush(path)
    folder.rename(place)
    flush(place.parent)
    flush(folder.parent)


def flush(path: Path) -> None:
    """Brings a file, or the names in a folder, to the disk; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

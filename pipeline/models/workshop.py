"""Folders of networks that were made here: each appears whole or not at all.

It is made under another name, flushed to the disk, and renamed; `find_converted` does not see it
before.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from engines import Network
from engines.sharing import file_sha256
from pipeline.errors import ModelError
from pipeline.models.converted import REPORT

#: The folder beside, for what was made and is not good enough.
REJECTED = "rejected"


def require_free(place: Path) -> None:
    """Raises `ModelError` if there is something at `place` that was not made here earlier."""
    if place.exists() and not (place.is_dir() and (
        not any(place.iterdir()) or (place / REPORT).is_file()
    )):  # fmt: skip
        raise ModelError(f"{place}: there is something else already; give another folder with -o")


@contextmanager
def workshop(place: Path) -> Iterator[Path]:
    """A new folder on the same disk as `place`, gone afterwards unless it was moved."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # `find_converted` looks for names with a hyphen only.
        folder = Path(mkdtemp(prefix=".part_", dir=place.parent))
    except OSError as error:
        raise ModelError(f"{place.parent}: cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put(folder: Path, place: Path) -> None:
    """Moves a complete folder to its place, in one step for whoever looks there."""
    try:
        for path in (*folder.iterdir(), folder):
            _flush(path)
        folder.chmod(0o755)
        place.parent.mkdir(parents=True, exist_ok=True)
        with (place.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = folder.with_name(f"{folder.name}_before")
            if place.exists():
                place.rename(before)
            folder.rename(place)
            shutil.rmtree(before, ignore_errors=True)
        _flush(place.parent)
    except OSError as error:
        raise ModelError(f"{place}: cannot be written: {error.strerror}") from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def facts(network: Network, files: Iterable[Path]) -> dict[str, Any]:
    """A network as reports have it, with the hashes of its files."""
    return {
        "file": network.path.name,
        "format": network.format,
        "precision": network.precision,
        **({"target": network.target} if network.target else {}),
        "sha256": file_sha256(network.path),
        "files": {path.name: file_sha256(path) for path in sorted(files)},
    }


def versions() -> dict[str, str]:
    """Of what has a part in the numbers of a report."""
    found = {name: _version(name) for name in ("sightline", "numpy", "onnx")}
    return found | {"python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

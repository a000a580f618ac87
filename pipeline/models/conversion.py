"""Converts a model, compares the result with its source, and puts both down where they are found.

A folder of a converted network appears whole or not at all: it is made under another name, flushed
to the disk, and renamed. Where its outputs differ too much it goes below ``rejected``, to be looked
at; `find_converted` does not see it there.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import engines
from engines import Engine, Network
from engines.convert import convert, targets
from engines.sharing import file_sha256
from pipeline.errors import ModelError
from pipeline.models.comparison import Comparison, Difference, compare
from pipeline.models.converted import REPORT, converted_folder, files_of, identity
from pipeline.models.manifest import PreprocessSpec

REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of a conversion.

    Attributes:
        network: the new network, at its final place, with the tensors of its source.
        comparison: of it with its source.
        report: what is written in ``report.json``.
    """

    network: Network
    comparison: Comparison
    report: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where the network and its report lie."""
        return self.network.path.parent


def convert_model(
    source: Network,
    target: str,
    *,
    precision: str = "fp32",
    preprocess: PreprocessSpec | None = None,
    pictures: str | None = None,
    folder: Path | None = None,
) -> Conversion:
    """Converts a network and compares the result with it on real input.

    Args:
        source: the network; its tensors need be declared only where its format does not tell them.
        target: format wanted.
        precision: of the numbers in the new network.
        preprocess: what its manifest says about pictures; None where there is none.
        pictures: a video, an image or a folder to compare with; None for a sample video.
        folder: where it goes; None for the cache, where models find it.

    Raises:
        ModelError: it is sealed or nothing to convert, or `folder` holds something else.
        EngineError: it cannot be converted, or one of the two cannot be run.
        SourceError: the pictures cannot be read.
    """
    if source.content is not None:
        raise ModelError(
            f"{source}: a sealed model is not converted: it would lie open on the disk"
        )
    if source.format == target and precision == (source.precision or precision):
        raise ModelError(f"{source}: it is {target} already; it can be converted to "
                         f"{', '.join(targets(source.format)) or 'nothing else'}")  # fmt: skip
    place = folder or converted_folder(identity(source)) / f"{target}-{precision}"
    _require_free(place)
    with _workshop(place) as workshop:
        begun = time.monotonic()
        made = convert(source, target, workshop, precision)
        converted_s = time.monotonic() - begun
        comparison = compare(source, made, precision, preprocess, pictures)
        report = _report(comparison)
        report["seconds"] = {
            "convert": round(converted_s, 2),
            "compare": round(time.monotonic() - begun - converted_s, 2),
        }
        text = json.dumps(report, indent=1, ensure_ascii=False)
        (workshop / REPORT).write_text(text, encoding="utf-8")
        if folder is None and not comparison.equal:
            place = place.parent / REJECTED / place.name
        _put(workshop, place)
    network = replace(comparison.network, path=place / made.path.name)
    return Conversion(network, comparison, report)


def _report(comparison: Comparison) -> dict[str, Any]:
    source, network = comparison.source, comparison.network
    theirs, ours = comparison.engines
    return {
        "schema": 1,
        "verdict": "equal" if comparison.equal else "differs",
        "source": _facts(source, files_of(source)),
        "network": _facts(network, network.path.parent.iterdir()),
        "compared_on": comparison.told,
        "engines": {"source": _engine(theirs), "network": _engine(ours)},
        "tolerance": comparison.tolerance,
        "outputs": [_row(difference) for difference in comparison.differences],
        "versions": {name: _version(name) for name in ("sightline", "numpy", "onnx")}
        | {"python": platform.python_version()},
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _facts(network: Network, files: Iterable[Path]) -> dict[str, Any]:
    return {
        "file": network.path.name,
        "format": network.format,
        "precision": network.precision,
        "sha256": file_sha256(network.path),
        "files": {path.name: file_sha256(path) for path in sorted(files)},
    }


def _engine(engine: Engine) -> str:
    info = engines.engine_class(engine.backend).describe()
    return f"{engine.backend} {info.version} on {engine.device}, {engine.precision}"


def _row(difference: Difference) -> dict[str, Any]:
    """Of an output; what is infinite is no JSON and becomes null."""
    row = asdict(difference) | {"within": difference.within}
    return {key: None if value == float("inf") else value for key, value in row.items()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _require_free(place: Path) -> None:
    """Raises `ModelError` if there is something at `place` that is no earlier conversion."""
    if place.exists() and not (place.is_dir() and (
        not any(place.iterdir()) or (place / REPORT).is_file()
    )):  # fmt: skip
        raise ModelError(f"{place}: there is something else already; give another folder with -o")


@contextmanager
def _workshop(place: Path) -> Iterator[Path]:
    """A new folder on the same disk as `place`, gone afterwards unless it was moved."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # `find_converted` looks for names with a hyphen only.
        workshop = Path(mkdtemp(prefix=".part_", dir=place.parent))
    except OSError as error:
        raise ModelError(f"{place.parent}: cannot be written: {error.strerror}") from None
    try:
        yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _put(workshop: Path, place: Path) -> None:
    """Moves a complete folder to its place, in one step for whoever looks there."""
    try:
        for path in (*workshop.iterdir(), workshop):
            _flush(path)
        workshop.chmod(0o755)
        place.parent.mkdir(parents=True, exist_ok=True)
        with (place.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = workshop.with_name(f"{workshop.name}_before")
            if place.exists():
                place.rename(before)
            workshop.rename(place)
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

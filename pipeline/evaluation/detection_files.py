"""Finds the detection files of sequences, given files, folders or a pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from pipeline.errors import DataError
from pipeline.evaluation.pairs import PLACEHOLDER, SequenceInfo, sequence_info


@dataclass(frozen=True, slots=True)
class DetectionFile:
    """One sequence's detections.

    Attributes:
        name: of the sequence.
        path: of the file.
    """

    name: str
    path: Path

    def info(self) -> SequenceInfo:
        """What the ``seqinfo.ini`` beside the file, or beside its folder, says.

        Raises:
            DataError: it cannot be read.
        """
        folder = self.path.resolve().parent
        return sequence_info(folder if (folder / "seqinfo.ini").is_file() else folder.parent)


def find_detections(paths: Sequence[str]) -> list[DetectionFile]:
    """The detection files that were named.

    Args:
        paths: each a file, a sequence's folder (with ``det/det.txt``), a folder of such folders, or
            a path with ``{seq}`` where the sequences' names go.

    Raises:
        DataError: a file is missing, or two sequences share a name.
    """
    files = [file for path in paths for file in _files_of(path)]
    names = [file.name for file in files]
    for name in names:
        if names.count(name) > 1:
            where = " and ".join(str(file.path) for file in files if file.name == name)
            raise DataError(f"two sequences are called {name}: {where}")
    return files


def _files_of(path: str) -> list[DetectionFile]:
    if PLACEHOLDER in path:
        return _matching(path)
    folder = Path(path)
    if not folder.is_dir():
        if not folder.is_file():
            raise DataError(f"{path}: no such file")
        return [DetectionFile(_name(folder), folder)]
    found = [folder / "det" / "det.txt"]
    if not found[0].is_file():
        found = sorted(folder.glob("*/det/det.txt"))
    if not found:
        raise DataError(
            f"{path}: holds neither det/det.txt nor folders that hold one; for other names write "
            f"{path}/{PLACEHOLDER}.txt"
        )
    return [DetectionFile(_name(file), file) for file in found]


def _matching(pattern: str) -> list[DetectionFile]:
    """The files that a path with ``{seq}`` means, by name."""
    path = Path(pattern)
    first, *others = (re.escape(part) for part in str(path).split(PLACEHOLDER))
    expression = re.compile(first + "(?P<name>[^/]+)" + "(?P=name)".join(others))
    below = escape(str(path.relative_to(path.anchor))).replace(PLACEHOLDER, "*")
    paths = sorted(Path(path.anchor).glob(below))
    matches = [(expression.fullmatch(str(path)), path) for path in paths if path.is_file()]
    found = [DetectionFile(match["name"], path) for match, path in matches if match]
    if not found:
        raise DataError(f"{pattern}: no file is called so with a name for {PLACEHOLDER}")
    return found


def _name(file: Path) -> str:
    """TUD-Campus for TUD-Campus/det/det.txt, else the file's name up to the first dot."""
    if file.name == "det.txt" and file.resolve().parent.name == "det":
        return file.resolve().parent.parent.name
    return file.name.split(".")[0]

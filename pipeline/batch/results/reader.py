"""The results of a batch, for programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.batch.manifest import MANIFEST
from pipeline.batch.results.lines import EVENTS, TRACKS, read_lines
from pipeline.errors import DataError
from pipeline.output import jsonreader
from pipeline.output.message import Message


@dataclass(frozen=True, slots=True)
class ClipResults:
    """What was found in one video.

    Attributes:
        name: of the clip.
        folder: that its results are in.
        manifest: what they were made of, with what, and how it went; see docs/results.md.
    """

    name: str
    folder: Path
    manifest: Mapping[str, Any]

    def messages(self) -> Iterator[Message]:
        """Each frame's result, in order, read as they are taken.

        Raises:
            DataError: the file cannot be read, or a line is none of ours.
        """
        return read_lines(self.folder / TRACKS, jsonreader.decode)

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Each event as in events.jsonl, in order; none where the tracks were not analysed.

        Raises:
            DataError: as `messages`.
        """
        path = self.folder / EVENTS
        return read_lines(path, json.loads) if path.exists() else iter(())

    def verify(self) -> None:
        """Makes sure that the files are those that the manifest was written of.

        Raises:
            DataError: a file is gone or another one; the message names each.
        """
        wrong = [
            name
            for name, said in self.manifest["files"].items()
            if not _is(self.folder / name, said)
        ]
        if wrong:
            raise DataError(
                f"{self.folder}: not as the batch left them: {', '.join(wrong)}; remove the folder "
                "and run the batch again"
            )


def read(out: Path) -> list[ClipResults]:
    """The complete clips in the folder of a batch, by name.

    Raises:
        DataError: it is no folder of a batch, or a manifest cannot be read.
    """
    if not (out / "batch.json").is_file():
        raise DataError(f"{out}: is no folder of a batch: it has no batch.json")
    return [
        ClipResults(path.parent.name, path.parent, _manifest(path))
        for path in sorted(out.glob(f"[!.]*/{MANIFEST}"))
    ]


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found["files"], dict):
            raise TypeError("files: expected an object")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path}: is no manifest: {error!r}; remove its folder and run the batch again"
        ) from error
    return found


def _is(path: Path, said: Mapping[str, Any]) -> bool:
    """Whether a file has the size and the hash that are said of it."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return False
    return said == {"size": path.stat().st_size, "sha256": found}

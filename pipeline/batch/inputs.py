"""What a batch is given, as a list of videos: each once, each with a name of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pipeline.batch.naming import names
from pipeline.batch.sniffing import is_video
from pipeline.errors import SourceError
from pipeline.media.images import IMAGE_SUFFIXES, natural_key
from pipeline.media.sources import SCHEMES, is_live
from pipeline.media.uri import path_of, redact, scheme_of

#: A folder with this file holds the results of a batch, and no inputs.
RESULTS = "batch.json"
_MAGIC = frozenset("*?[")
_TOLD = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Input:
    """One video to be looked at.

    Attributes:
        uri: as `pipeline.media.sources.open_source` takes it; may hold a password.
        name: a camera's id, and the name of the folder with its results; unique in the batch,
            whatever the case of its letters.
        error: why there is nothing to be opened; empty where there may be.
    """

    uri: str
    name: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A video, or what should be one and is not there, and why."""

    uri: str
    error: str = ""


def expand(inputs: Sequence[str], stdin: TextIO | None = None) -> list[Input]:
    """The videos that `inputs` name, in their order.

    ================================  ============================================================
    ``gate.mp4``, ``file:gate.mp4``   a file, whatever its name
    ``archive``                       all videos in a folder and its folders, in natural order;
                                      hidden ones and a batch's results are left out
    ``archive/**/*.mp4``              what matches; quoted, so that the shell leaves it alone
    ``-``                             a list from standard input: one a line, or NUL between them
    ``https://…``                     a file on a server
    ``dir:…``, ``glob:…``             a folder of images, files that are played as one: one video
    ``rendered:day?seconds=60``       the rendered street
    ================================  ============================================================

    A file that comes twice, by whatever way, is taken once. What cannot be found is an input with
    an error, so that it does not stop the others.

    Args:
        inputs: from the command line.
        stdin: where ``-`` reads from.

    Raises:
        SourceError: there is nothing at all to be looked at; says why of each input.
    """
    found = _once(one for text in inputs for one in _of_argument(text, stdin))
    if all(one.error for one in found):
        reasons = [one.error for one in found] or ["no input is named"]
        more = [f"and {len(reasons) - _TOLD} more"] if len(reasons) > _TOLD else []
        raise SourceError("; ".join([*reasons[:_TOLD], *more]))
    return [
        Input(one.uri, name, one.error)
        for one, name in zip(found, names([one.uri for one in found]), strict=True)
    ]


def _once(found: Iterable[_Found]) -> list[_Found]:
    kept: dict[str, _Found] = {}
    for one in found:
        plain = scheme_of(one.uri) in ("", "file")
        key = os.path.realpath(path_of(one.uri)) if plain else one.uri
        if kept.setdefault(key, one) is not one:
            _log.debug("%s: named twice, taken once", redact(one.uri))
    return list(kept.values())


def _of_argument(text: str, stdin: TextIO | None) -> Iterator[_Found]:
    if text != "-":
        yield from _named(text)
        return
    listed = "" if stdin is None else stdin.read()
    for line in listed.split("\0") if "\0" in listed else listed.splitlines():
        if line.strip():
            yield from _named(line)


def _named(text: str) -> Iterable[_Found]:
    """What one text names, which is no list."""
    if is_live(text):
        why = "this is a live camera, which has no end; look at it with `sightline run`"
        return [_Found(text, f"{redact(text)}: {why}")]
    if scheme_of(text) in ("", "file"):
        return _of_path(_expanded(Path(path_of(text))))
    if scheme_of(text) not in SCHEMES:
        kinds = ", ".join(sorted(filter(None, SCHEMES)))
        why = f"unknown kind of source {scheme_of(text)!r}; there are {kinds} and plain paths"
        return [_Found(text, f"{redact(text)}: {why}")]
    return [_Found(text)]


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # nobody is called so: ~ is part of the name
        return path


def _of_path(path: Path) -> Iterable[_Found]:
    # A file may be called [1].mp4: a pattern is only what is no name.
    if path.is_dir():
        return _in_folder(path) or [_empty(path)]
    if os.path.lexists(path):
        return [_Found(_uri(path))]
    if _MAGIC & set(str(path)):
        return _matching(path)
    return [_Found(_uri(path), f"{path}: there is no such file{_where(path)}")]


def _in_folder(folder: Path) -> list[_Found]:
    """All videos in a folder and its folders, and those folders that cannot be read."""
    found: dict[Path, str] = {}
    visited = set()

    def unreadable(error: OSError) -> None:
        found[Path(error.filename)] = f"{error.filename}: {error.strerror}; check its permissions"

    for at, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        here = os.path.realpath(at)
        if here in visited or RESULTS in files:
            _log.debug("%s: %s, left out", at, "known" if here in visited else "a batch's results")
            folders.clear()
            continue
        visited.add(here)
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(at, name) for name in files if not name.startswith(".")]
        found.update({path: "" for path in paths if _is_taken(path)})
    return [_Found(_uri(path), found[path]) for path in sorted(found, key=natural_key)]


def _empty(folder: Path) -> _Found:
    images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    remedy = f"; for the images in it write dir:{folder}" if images else ""
    return _Found(_uri(folder), f"{folder}: no video in this folder{remedy}")


def _matching(pattern: Path) -> list[_Found]:
    """What a pattern matches; hidden files only where, as in the shell, it names them."""
    hidden = _is_hidden(pattern)
    # Unlike that of the module glob, this ** does not follow links round and round.
    root = Path(pattern.anchor)
    matches = sorted(root.glob(str(pattern.relative_to(root))), key=natural_key)
    found: list[_Found] = []
    for path in matches:
        if _is_hidden(path) and not hidden:
            _log.debug("%s: hidden, left out", path)
        elif path.is_dir():
            found += _in_folder(path)
        elif _is_taken(path):
            found.append(_Found(_uri(path)))
    what = "no video among what matches" if matches else "no file matches"
    return found or [_Found(str(pattern), f"{pattern}: {what}{_where(pattern)}")]


def _is_taken(path: Path) -> bool:
    taken = path.is_file() and is_video(path)
    if not taken:
        _log.debug("%s: no video, left out", path)
    return taken


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part != ".." for part in path.parts)


def _uri(path: Path) -> str:
    """The path as it is, unless it could be taken for something else than a path."""
    text = str(path)
    return str(path.absolute()) if scheme_of(text) or text.startswith("~") else text


def _where(path: Path) -> str:
    return "" if path.is_absolute() else f"; relative paths start at {Path.cwd()}"

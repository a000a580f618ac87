"""Files of lines, each of which is made into something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pipeline.errors import DataError, MessageError

#: Files of a clip's folder; the second one is there where its tracks were analysed.
TRACKS, EVENTS = "tracks.jsonl", "events.jsonl"

Item = TypeVar("Item")


def read_lines(path: Path, make: Callable[[bytes], Item]) -> Iterator[Item]:
    """What is made of each line, one at a time.

    Args:
        make: may raise what comes of a line that is not as it should be.

    Raises:
        DataError: the file cannot be read, or nothing can be made of a line; the message names it.
    """
    for number, line in enumerate(_lines(path), 1):
        try:
            made = make(line)
        except (ValueError, LookupError, TypeError, AttributeError, MessageError) as error:
            raise DataError(
                f"{path}:{number}: is no line of results: {error!r}; remove the folder "
                f"{path.parent.name!r} and run the batch again"
            ) from error
        yield made


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; run the batch again") from error

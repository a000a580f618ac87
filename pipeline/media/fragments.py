"""The whole fragments of a fragmented MP4 whose writer could not write on.

Boxes: ISO/IEC 14496-12, sections 4.2 (size, type), 8.8.4 (moof) to 8.8.8 (trun).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HEAD = struct.Struct(">I4s")
_TRUN = struct.Struct(">II")  # version and flags, samples
_LARGE = 1  # a box of this size has its real size, u64, behind its type
_PARENTS = (b"moof", b"traf")


def cut_to_fragments(path: Path) -> int:
    """Cuts a file behind its last whole fragment, so that every reader takes it.

    Returns:
        The pictures in it; 0 where there is no whole fragment, and then nothing is left in it.

    Raises:
        OSError: it cannot be read or cut.
    """
    with path.open("r+b") as file:
        end, pictures, pending = 0, 0, 0
        for kind, start, stop in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            if kind == b"moof":
                pending = _samples(file, start, stop)
            elif kind == b"mdat":
                end, pictures, pending = stop, pictures + pending, 0
            elif not pictures:
                end = stop  # what comes before the first fragment
        file.truncate(end if pictures else 0)
    return pictures


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of each whole box between two places."""
    while at + _HEAD.size <= end:
        file.seek(at)
        size, kind = _HEAD.unpack(file.read(_HEAD.size))
        start = at + _HEAD.size
        if size == _LARGE:
            size = int.from_bytes(file.read(8), "big")
            start += 8
        if size < _HEAD.size or at + size > end:
            return
        at += size
        yield kind, start, at


def _samples(file: BinaryIO, start: int, stop: int) -> int:
    """The pictures that a movie fragment tells of."""
    count = 0
    for kind, inner, end in list(_boxes(file, start, stop)):
        if kind in _PARENTS:
            count += _samples(file, inner, end)
        elif kind == b"trun":
            file.seek(inner)
            count += _TRUN.unpack(file.read(_TRUN.size))[1]
    return count

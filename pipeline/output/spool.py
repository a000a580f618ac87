"""Records on the disk until somebody has acknowledged them.

A spool is a folder with a numbered place for each process that writes into it. What a process
leaves is adopted by the others, or by the next one.

A place is a folder of numbered segments. A segment is a file of records, each its length and CRC-32
(two little-endian u32) and its bytes; what a killed writer left half-written at a segment's end is
known by them. A segment is given out when it is large enough or the only one, and goes, as a whole,
when it was acknowledged: so after a crash no more than one is delivered twice.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pipeline.errors import OutputError
from pipeline.output.room import Room, write_whole

_log = logging.getLogger(__name__)

_HEAD = struct.Struct("<II")
_SUFFIX = ".segment"
#: A segment is closed when it is so large, bytes; smaller in a small spool.
_SEGMENT_BYTES = 1 << 20
_LEAST_SEGMENTS = 8
_MOST_PLACES = 256


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of records that is not written any more."""

    path: Path
    size: int

    def records(self) -> list[bytes]:
        """Its records, in order, up to the first that is not whole."""
        found: list[bytes] = []
        at = 0
        try:
            data = self.path.read_bytes()
        except OSError as error:
            _log.warning("%s: is lost: %s", self.path, error.strerror)
            return found
        while at + _HEAD.size <= len(data):
            length, crc = _HEAD.unpack_from(data, at)
            record = data[at + _HEAD.size : at + _HEAD.size + length]
            # After a loss of power, zeros may be where the last records were to be.
            if not length or len(record) != length or zlib.crc32(record) != crc:
                break
            found.append(record)
            at += _HEAD.size + length
        if at < len(data):
            _log.warning("%s: the last %d bytes are no whole record", self.path, len(data) - at)
        return found


class Spool:
    """This process's place in a folder of records that wait; one thread appends, another takes.

    Args:
        folder: made if needed; of one output alone. What earlier runs left in it comes first.
        most_bytes: the place does not grow beyond; the oldest segment goes for new records.
        min_free_bytes: as `Room`.

    Attributes:
        dropped: records that went unacknowledged, as the spool was full.

    Raises:
        OutputError: the folder cannot be used.
    """

    def __init__(self, folder: Path, most_bytes: int, min_free_bytes: int = 0) -> None:
        self.dropped = 0
        self._root = folder
        self._folder, self._claim = _claim_place(folder)
        self.room = Room(self._folder / f"*{_SUFFIX}", min_free_bytes)
        self._most_bytes = most_bytes
        self._segment_bytes = min(_SEGMENT_BYTES, most_bytes // _LEAST_SEGMENTS)
        self._lock = Lock()
        self._closed = deque(_segments(self._folder))
        self._closed_bytes = sum(segment.size for segment in self._closed)
        self._in_hand: Segment | None = None
        self._number = int(self._closed[-1].path.stem) if self._closed else 0
        self._fd, self._size = -1, 0
        self._unsynced: list[int] = []  # closed segments' files
        self._foreign: set[Path] = set()  # places that cannot be adopted
        self.adopt()

    def adopt(self) -> None:
        """Takes over what waits in places that nobody has any more."""
        for place in sorted(self._root.iterdir()):
            if place == self._folder or place in self._foreign or not place.name.isdecimal():
                continue
            try:
                self._adopt(place)
            except OSError as error:
                self._foreign.add(place)
                _log.warning("%s: what waits there is not ours: %s", place, error.strerror)

    def _adopt(self, place: Path) -> None:
        claim = _lock(place)
        if claim is None:
            return
        try:
            for segment in _segments(place):
                with self._lock:
                    self._close_segment()
                    self._number += 1
                    ours = Segment(segment.path.rename(self._path()), segment.size)
                    self._closed.append(ours)
                    self._closed_bytes += ours.size
        finally:
            os.close(claim)

    def append(self, record: bytes) -> None:
        """Writes a record, which is not empty.

        It is safe from the end of this process then, and after `sync` from a loss of power.

        Raises:
            PacketError: ``disk_full``, as `Room.writing`.
            OutputError: the disk fails otherwise.
        """
        data = _HEAD.pack(len(record), zlib.crc32(record)) + record
        with self._lock:
            self._make_room(len(data))
            try:
                with self.room.writing():
                    self._write(data)
            except OSError as error:
                raise OutputError(f"{self._folder}: cannot be written: {error.strerror}") from error
            if self._size >= self._segment_bytes:
                self._close_segment()

    def _write(self, data: bytes) -> None:
        if self._fd < 0:
            self._number += 1
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path(), flags, 0o640)
        write_whole(self._fd, data, self._size)
        self._size += len(data)

    def _path(self) -> Path:
        return self._folder / f"{self._number:012d}{_SUFFIX}"

    def _close_segment(self) -> None:
        if self._fd >= 0:
            self._closed.append(Segment(self._path(), self._size))
            self._closed_bytes += self._size
            self._unsynced.append(self._fd)
            self._fd, self._size = -1, 0

    def _make_room(self, size: int) -> None:
        """Drops the oldest segments, but for the one in hand, until `size` more bytes fit."""
        while self.size_bytes + size > self._most_bytes:
            oldest = next((s for s in self._closed if s is not self._in_hand), None)
            if oldest is None:
                return
            lost = len(oldest.records())
            self._forget(oldest)
            self.dropped += lost
            _log.warning("%s is full: the oldest %d messages were dropped", self._folder, lost)

    def _forget(self, segment: Segment) -> None:
        segment.path.unlink(missing_ok=True)
        self._closed.remove(segment)
        self._closed_bytes -= segment.size

    @property
    def size_bytes(self) -> int:
        """What waits."""
        return self._closed_bytes + self._size

    def take(self) -> Segment | None:
        """The oldest segment; the same one until it is removed. None where nothing waits."""
        with self._lock:
            if not self._closed and self._size:
                self._close_segment()
            self._in_hand = self._closed[0] if self._closed else None
            return self._in_hand

    def remove(self, segment: Segment) -> None:
        """Forgets a segment: it was acknowledged."""
        with self._lock:
            self._forget(segment)
            self._in_hand = None

    def sync(self) -> None:
        """Returns when all that was appended is on the disk; appending goes on meanwhile."""
        with self._lock:
            files, self._unsynced = self._unsynced, []
            if self._fd >= 0:
                files.append(os.dup(self._fd))
        if files:
            files.append(os.open(self._folder, os.O_RDONLY))  # the files' names
        for fd in files:
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Leaves the folder to the next run."""
        with self._lock:
            self._close_segment()
        self.sync()
        os.close(self._claim)


def _segments(place: Path) -> list[Segment]:
    """What waits in a place, in order."""
    return [Segment(path, path.stat().st_size) for path in sorted(place.glob(f"*{_SUFFIX}"))]


def _claim_place(folder: Path) -> tuple[Path, int]:
    """The first place that nobody has, and the lock that keeps it ours until it is closed."""
    for number in range(_MOST_PLACES):
        place = folder / str(number)
        try:
            place.mkdir(parents=True, exist_ok=True)
            claim = _lock(place)
        except OSError as error:
            raise OutputError(
                f"cannot write {folder}: {error.strerror}; change the spool's 'path', or the "
                "permissions of its folder"
            ) from error
        if claim is not None:
            return place, claim
    raise OutputError(f"cannot write {folder}: {_MOST_PLACES} processes have it already")


def _lock(place: Path) -> int | None:
    """The lock of a place; None where another process, or another spool of this one, has it."""
    fd = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd

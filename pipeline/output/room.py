"""Writing on a disk that may be full: it pauses, says so, and goes on when there is room."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError, PacketError

_log = logging.getLogger(__name__)

MB = 1_000_000
#: A disk that was full is tried again after so long, seconds.
RETRY_S = 1.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Room:
    """Whether there is room for what is written under a path.

    Args:
        path: of what is written, for messages; its folder is on the disk that is watched.
        min_free_bytes: so much of the disk is left to others.

    Attributes:
        paused: whether writing pauses as the disk is full.
        missing: frames that could not be written so far.
    """

    def __init__(self, path: Path, min_free_bytes: int = 0) -> None:
        self.paused = False
        self.missing = 0
        self._path = path
        self._min_free_bytes = min_free_bytes
        self._again_s = 0.0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of one frame, which either is written in whole or leaves no trace.

        Raises:
            PacketError: ``disk_full``: there is no room; a later frame may find some.
        """
        if time.monotonic() < self._again_s:
            self._pause("no space left")
        if self._is_short():
            self._pause(f"less than {self._wanted_bytes() / MB:g} MB are free")
        try:
            yield
        except (OSError, OutputError) as error:
            if not is_full(error):
                raise
            self._again_s = time.monotonic() + RETRY_S
            self._pause("no space left")
        if self.paused:
            self.paused = False
            _log.warning("%s: there is room again, it goes on", self._path)

    def _is_short(self) -> bool:
        if not self._min_free_bytes:
            return False
        try:
            found = os.statvfs(self._path.parent)
        except OSError:
            return False  # what is written will tell
        return found.f_bavail * found.f_frsize < self._wanted_bytes()

    def _wanted_bytes(self) -> int:
        """A little more than what made it pause, so that it does not come and go by the frame."""
        return self._min_free_bytes * (11 if self.paused else 10) // 10

    def _pause(self, why: str) -> None:
        self.missing += 1
        if not self.paused:
            self.paused = True
            _log.warning("%s: disk full, it pauses: %s", self._path, why)
        raise PacketError("disk_full", f"cannot write {self._path}: {why}")


def is_full(error: BaseException | None) -> bool:
    """Whether it was raised, by whatever library, as the disk is full."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL:
            return True
        error = error.__cause__
    return False


def write_whole(fd: int, data: bytes, size: int) -> None:
    """Appends all of the data, or leaves the file with its `size` bytes and raises `OSError`."""
    try:
        if os.write(fd, data) != len(data):  # the disk's last bytes
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(fd, size)
        raise

"""Files of results, written under a temporary name.

A file is written as ``NAME.part`` and gets its name when its run ended in order, so that a file
with its name is always a complete one. Whatever ends the run early leaves the ``.part`` file; if
nothing was written yet, nothing is left.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from pipeline.errors import OutputError, PacketError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PartFile:
    """The claim on a file that is being written; no second output or run can make the same one.

    Args:
        path: takes its name at `finish`; a file that has it already is then replaced. The folder is
            made if needed.

    Attributes:
        part: the temporary path to write to.
        fd: the part file, open for appending.

    Raises:
        OutputError: it cannot be written, or somebody else writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._finished = False
        self.part = path.with_name(path.name + ".part")
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self.fd = os.open(self.part, flags, 0o666)
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; change the output's 'path', or the "
                "permissions of its folder"
            ) from error
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self.fd, 0)
        except OSError as error:
            os.close(self.fd)
            raise OutputError(
                f"cannot write {path}: another output or run is writing {self.part.name}; give "
                "each output its own 'path'"
            ) from error

    def finish(self) -> None:
        """Gives the file its name; its bytes are on the disk before.

        Raises:
            OutputError: it cannot be renamed; the part file stays.
        """
        try:
            os.fsync(self.fd)
            self.part.replace(self.path)
            self._finished = True
        except OSError as error:
            raise OutputError(f"cannot finish {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Gives the claim back; what was not finished keeps its part name, or goes if empty."""
        if self.fd < 0:
            return
        if not self._finished and not os.fstat(self.fd).st_size:
            self.part.unlink(missing_ok=True)
        os.close(self.fd)
        self.fd = -1


class LineFile:
    """A text file that only ever has whole lines.

    Args:
        path: as `PartFile`.
        header: a first line, with its newline.

    Raises:
        OutputError: as `PartFile`.
    """

    def __init__(self, path: Path, header: str = "") -> None:
        self._file = PartFile(path)
        self._header = header.encode()
        self._size = 0
        self._lost = 0

    def write(self, lines: str) -> None:
        """Appends whole lines, all of them or none.

        Raises:
            PacketError: ``disk_full``; a later call may succeed.
            OutputError: the file cannot be written any more.
        """
        if lines:
            self._append(lines.encode() if self._size else self._header + lines.encode())

    def _append(self, data: bytes) -> None:
        path = self._file.path
        try:
            if os.write(self._file.fd, data) != len(data):  # the disk's last bytes
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._lost += 1
            os.ftruncate(self._file.fd, self._size)
            if error.errno in _FULL:
                raise PacketError("disk_full", f"cannot write {path}") from error
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        self._size += len(data)

    @property
    def empty(self) -> bool:
        """Whether nothing was written yet."""
        return not self._size

    def finish(self) -> None:
        """Gives the file its name.

        Raises:
            OutputError: lines are missing in it, or as `PartFile.finish`; the part file stays.
        """
        if self._lost:
            raise OutputError(
                f"{self._file.path} is incomplete: {self._lost} frames could not be written as the "
                f"disk was full; the others are in {self._file.part}"
            )
        try:
            if not self._size and self._header:
                self._append(self._header)
        except PacketError as error:
            raise OutputError(f"{error}: the disk is full") from error
        self._file.finish()

    def close(self) -> None:
        """As `PartFile.close`."""
        self._file.close()

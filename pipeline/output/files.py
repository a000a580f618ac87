"""Files of results, written under a temporary name.

A file is written as ``NAME.part`` and gets its name when its run ended in order, so that a file
with its name is always a complete one, but for frames that the disk had no room for: then a file
``NAME.missing`` beside it says how many. Whatever ends the run early leaves the ``.part`` file; if
nothing was written yet, nothing is left.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.output.room import write_whole


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

    def finish(self, missing: int = 0) -> None:
        """Gives the file its name; its bytes are on the disk before.

        Args:
            missing: frames that are not in it; they are told in a file beside it, NAME.missing,
                which is there for no other file.

        Raises:
            OutputError: it cannot be renamed, or what is missing cannot be told; the part file
                stays.
        """
        beside = self.path.with_name(self.path.name + ".missing")
        try:
            os.fsync(self.fd)
            if missing:
                beside.write_text(json.dumps({"missing_frames": missing, "reason": "disk_full"}))
            else:
                beside.unlink(missing_ok=True)
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


class TextFile:
    """A text file that only ever has whole lines.

    Args:
        path: as `PartFile`.
        header: first lines, with their newlines.

    Raises:
        OutputError: as `PartFile`.
    """

    def __init__(self, path: Path, header: str = "") -> None:
        self._file = PartFile(path)
        self._header = header.encode()
        self._size = 0

    def append(self, lines: str) -> None:
        """Appends whole lines, all of them or none.

        Raises:
            OutputError: it cannot be written; as `is_full` says, a later call may succeed.
        """
        if lines:
            self._append(lines.encode() if self._size else self._header + lines.encode())

    def _append(self, data: bytes) -> None:
        try:
            write_whole(self._file.fd, data, self._size)
        except OSError as error:
            raise OutputError(f"cannot write {self._file.path}: {error.strerror}") from error
        self._size += len(data)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self._size

    @property
    def empty(self) -> bool:
        """Whether nothing was written yet."""
        return not self.size

    def cut(self) -> int | None:
        """As `Recording.cut`: it can be written again, nothing in it is half-written."""
        return None

    def finish(self, missing: int = 0) -> bool:
        """Gives the file its name, also an empty one; as `PartFile.finish`."""
        if not self._size and self._header:
            self._append(self._header)
        self._file.finish(missing)
        return True

    def close(self) -> None:
        """As `PartFile.close`."""
        self._file.close()


class LineFile(TextFile):
    """A text file whose lines are made elsewhere."""

    def write(self, lines: str) -> None:
        """As `append`."""
        self.append(lines)

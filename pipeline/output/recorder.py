"""Writes a row of files, whatever is in them, on a disk that may be full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pipeline.errors import OutputError
from pipeline.output.room import Room, is_full
from pipeline.output.series import Series
from pipeline.output.spec import RecordingSpec

Content = TypeVar("Content", contravariant=True)


class Recording(Protocol[Content]):
    """One file; such as `LineFile` and `VideoFile`."""

    @property
    def size(self) -> int:
        """Bytes in it."""

    @property
    def empty(self) -> bool:
        """Whether nothing was written yet."""

    def write(self, content: Content, /) -> None:
        """Appends one frame's; raises `OutputError`."""

    def cut(self) -> int | None:
        """The disk was full: None where it can be written again.

        Else it is cut to what is whole, and this says how many frames of it are lost by that.
        """

    def finish(self, missing: int = 0, /) -> bool:
        """Gives it its name, and says beside it how many frames are missing.

        Returns:
            False where nothing is in it, so that there is no file.
        """

    def close(self) -> None:
        """Gives it back, whether it was finished or not."""


class Recorder(Generic[Content]):
    """One file after the other.

    Args:
        template: a path in which `Series` replaces what is left to be replaced.
        spec: what is said of the row.
        make: makes the file of a path; raises `OutputError`.
    """

    def __init__(
        self, template: str, spec: RecordingSpec, make: Callable[[Path], Recording[Content]]
    ) -> None:
        self.room = Room(Path(template), spec.min_free_bytes)
        self._series = Series(template, spec)
        self._make = make
        self._file: Recording[Content] | None = None
        self._finished = 0
        self._told = 0  # of the room's missing frames, by a file that was finished

    def open(self) -> None:
        """Begins the first file, so that a wrong path is known at the start.

        Raises:
            OutputError: it cannot be written; a full disk is no reason, there may be room later.
        """
        try:
            self._current()
        except OutputError as error:
            if not is_full(error):
                raise

    def write(self, content: Content) -> None:
        """Appends one frame's content, in the next file if it is time.

        Raises:
            PacketError: ``disk_full``; a later call may succeed.
            OutputError: it cannot be written.
        """
        with self.room.writing():
            if self._file is not None and self._series.due(self._file.size):
                self.finish()
            current = self._current()
            try:
                current.write(content)
            except OutputError as error:
                if is_full(error) and self._cut(current):
                    self.finish()
                raise

    def _current(self) -> Recording[Content]:
        if self._file is None:
            path = self._series.begin(self._finished)
            self._file = self._make(path)
            self._series.tidy(path)
        return self._file

    @property
    def empty(self) -> bool:
        """Whether nothing was written into the current file."""
        return self._file is None or self._file.empty

    def _cut(self, file: Recording[Content]) -> bool:
        """Cuts a file that met a full disk; says whether it has to end by that."""
        lost = file.cut()
        self.room.missing += lost or 0
        return lost is not None

    def finish(self) -> None:
        """Gives the current file its name; the next `write` begins another.

        Raises:
            OutputError: it cannot be; it stays as it is.
        """
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            try:
                told = file.finish(self.room.missing - self._told)
            except OutputError as error:
                if not (is_full(error) and self._cut(file)):
                    raise
                told = file.finish(self.room.missing - self._told)
            if told:
                self._finished += 1
                self._told = self.room.missing
        finally:
            file.close()

    def close(self) -> None:
        """Gives back what was not finished."""
        if self._file is not None:
            self._file.close()

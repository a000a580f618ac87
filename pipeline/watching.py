"""Whether a file has changed, told once it is written."""

from __future__ import annotations

from pathlib import Path

Identity = tuple[int, int, int]


class FileWatch:
    """Tells each change of a file once, by being asked now and then.

    A change is told when the file was the same at two looks: an editor may write it in parts. It
    does not matter whether it is written in place, replaced by another file of its name, or is a
    link that leads elsewhere from now on. While there is no file, nothing is told.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._last = self._identity()

    def changed(self) -> bool:
        """Whether it has changed since the last change that was told, or since the beginning."""
        now, before = self._identity(), self._last
        self._last = now
        if now is None or now != before or now == self._known:
            return False
        self._known = now
        return True

    def _identity(self) -> Identity | None:
        """What differs after every change: inode, size and time."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

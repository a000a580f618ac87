"""What probing found, kept for the next run: to read an archive from end to end takes hours."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.batch import durable
from pipeline.batch.clip import Clip
from pipeline.media.uri import path_of, scheme_of

_KEPT = TypeAdapter(dict[str, tuple[list[int], Clip]])
_EVERY_S = 10.0


class Probed:
    """Clips as an earlier run found them, whose files have not been touched since.

    A file counts as touched where its size, its inode or one of its times is another: the time of
    its last change of any kind cannot be set back by a program.

    Args:
        path: of the file that they are kept in; need not be there.
        key: what probing depends on beside the file; with another one nothing is known.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._clips: dict[str, tuple[list[int], Clip]] = {}
        self._saved_s = time.monotonic()
        try:
            said, _, kept = path.read_bytes().partition(b"\n")
            if said.decode() == key:
                self._clips = _KEPT.validate_json(kept)
        except (OSError, ValidationError, UnicodeDecodeError):
            pass  # then everything is probed

    def get(self, uri: str, name: str) -> Clip | None:
        """The clip of an input; None where it is to be probed."""
        state, clip = self._clips.get(name, (None, None))
        return clip if clip and clip.uri == uri and state and state == _state(uri) else None

    def keep(self, clip: Clip) -> None:
        """Remembers a clip that was probed just now; raises `OSError`."""
        state = _state(clip.uri)
        if state and not clip.error:
            self._clips[clip.name] = state, clip
            if time.monotonic() - self._saved_s > _EVERY_S:
                self.save()

    def save(self) -> None:
        """Keeps it for the next run; raises `OSError`."""
        durable.write(self._path, self._key.encode() + b"\n" + _KEPT.dump_json(self._clips))
        self._saved_s = time.monotonic()


def _state(uri: str) -> list[int] | None:
    """What tells whether a file was touched; None of what is no file."""
    if scheme_of(uri) not in ("", "file"):
        return None
    try:
        found: Any = Path(path_of(uri)).stat()
    except OSError:
        return None
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]

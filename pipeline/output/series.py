"""The files of one path, one after the other: when a new one begins, its name, which ones go."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.output.room import MB
from pipeline.output.spec import RecordingSpec

_log = logging.getLogger(__name__)

#: In a path: the beginning of the file's first frame, UTC, to the millisecond.
START = "{start}"
_START_PATTERN = r"\d{8}T\d{6}\.\d{3}Z"


def in_name(moment: datetime) -> str:
    """A moment in UTC, as names of files have it: ``20261122T013045.120Z``."""
    return f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"


class Series:
    """Where one row of files goes.

    Args:
        template: a path; its ``{camera}`` is replaced already, ``{start}`` is not.
        spec: when a new file begins, and which old ones go.
    """

    def __init__(self, template: str, spec: RecordingSpec) -> None:
        self._template = template
        self._spec = spec
        self._began_s = 0.0

    def begin(self, finished: int) -> Path:
        """The path of the next file, after so many that were finished."""
        self._began_s = time.monotonic()
        if START in self._template:
            moment = datetime.now(UTC)
            while (named := self._named(moment)).exists():  # the clock may have been set back
                moment += timedelta(milliseconds=1)
            return named
        path = Path(self._template)
        if not finished:
            return path
        suffixes = "".join(path.suffixes)  # what follows a break has a name of its own
        return path.with_name(f"{path.name.removesuffix(suffixes)}-{finished + 1}{suffixes}")

    def _named(self, moment: datetime) -> Path:
        return Path(self._template.replace(START, in_name(moment)))

    def due(self, size: int) -> bool:
        """Whether a file of so many bytes is to be followed by the next one."""
        spec = self._spec
        old = spec.rotate_s is not None and time.monotonic() - self._began_s >= spec.rotate_s
        return old or (spec.rotate_mb is not None and size >= spec.rotate_mb * MB)

    def tidy(self, current: Path) -> None:
        """Deletes files of this row that are older or more than is to be kept.

        What a killed run left as ``.part`` goes as well; the `current` one, being written, stays.
        """
        if self._spec.keep_h is not None or self._spec.keep_mb is not None:
            delete_old(self._files(current), self._spec)

    def _files(self, current: Path) -> list[Path]:
        template = Path(self._template)
        names = re.escape(template.name).replace(re.escape(START), _START_PATTERN)
        pattern = re.compile(names + r"(\.part)?")
        found = [path for path in template.parent.iterdir() if pattern.fullmatch(path.name)]
        return [path for path in found if path.name.removesuffix(".part") != current.name]


def delete_old(files: Iterable[Path], spec: RecordingSpec) -> None:
    """Deletes those of the files that are older or more than is to be kept.

    Args:
        files: their names sort by age, the newest last.
    """
    oldest_s = time.time() - (spec.keep_h or 0.0) * 3600
    kept = 0
    for path in sorted(files, reverse=True):
        try:
            found = path.stat()
            kept += found.st_size
            too_old = spec.keep_h is not None and found.st_mtime < oldest_s
            too_many = spec.keep_mb is not None and kept > spec.keep_mb * MB
            if too_old or too_many:
                path.unlink()
                path.with_name(path.name + ".missing").unlink(missing_ok=True)
        except OSError as error:
            _log.warning("%s: cannot be deleted: %s", path, error.strerror)

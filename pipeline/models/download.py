"""One file from a URL to its place: resumed where it broke off, checked, then renamed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ModelError
from pipeline.media.uri import redact
from pipeline.models.manifest import FileEntry

#: Called with the file's path in its package, bytes that are here, bytes in all.
Progress = Callable[[str, int, int], None]

CHUNK = 1 << 18
ATTEMPTS = 4
MIRROR = "or give --mirror DIR|URL with a copy"


class _BrokenError(Exception):
    """The connection ended early; what came is kept."""


def matches(path: Path, entry: FileEntry) -> bool:
    """Whether a file, wherever it lies, is the one its entry describes."""
    try:
        check(path, entry)
    except ModelError:
        return False
    return True


def check(path: Path, entry: FileEntry) -> None:
    """Raises `ModelError` if a file has not the size and hash of its manifest."""
    size = path.stat().st_size
    if size != entry.size:
        raise ModelError(f"{path}: expected {entry.size} bytes, found {size}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, entry.algorithm).hexdigest()
    if found != entry.digest:
        raise ModelError(f"{path}: expected {entry.algorithm} {entry.digest}, found {found}")


def download(
    url: str,
    entry: FileEntry,
    target: Path,
    progress: Progress | None = None,
    *,
    timeout_s: float = 30.0,
) -> None:
    """Gets a file, or leaves no file at `target`.

    What came of a broken download stays beside it as ``.part`` and is continued the next time;
    after a wrong hash nothing stays.

    Args:
        url: http, https or file.
        entry: size and hash it must have.
        target: where it goes; its folder is made.
        progress: told about every chunk.
        timeout_s: without a byte, seconds.

    Raises:
        ModelError: not found, no connection, disk full, wrong size or hash, or another process is
            at it; with the remedy.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            _lock(file, target)
            _require_space(file, entry, target)
            _receive(url, entry, file, progress, timeout_s)
            file.flush()
            os.fsync(file.fileno())
            _verify(part, entry, url)
            part.replace(target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        if part.is_file() and part.stat().st_size == 0:
            part.unlink()


def _receive(
    url: str, entry: FileEntry, file: BinaryIO, progress: Progress | None, timeout_s: float
) -> None:
    """Appends until the file is whole, over several connections if it must be."""
    broken = _BrokenError()
    for _ in range(ATTEMPTS):
        if file.tell() == entry.size:
            return
        try:
            _append(url, entry, file, progress, timeout_s)
        except _BrokenError as error:
            broken = error
    if file.tell() != entry.size:
        raise ModelError(
            f"{redact(url)}: the connection broke {ATTEMPTS} times ({broken}), {file.tell()} of "
            f"{entry.size} bytes are here; run the same command again to continue"
        )


def _append(
    url: str, entry: FileEntry, file: BinaryIO, progress: Progress | None, timeout_s: float
) -> None:
    """Writes what one connection gives, from where the file ends."""
    if file.tell() > entry.size:
        _empty(file)
    headers = {"User-Agent": "sightline", "Range": f"bytes={file.tell()}-"}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            start, total = _range(response.headers)
            if total not in (None, entry.size):
                raise ModelError(
                    f"{redact(url)}: expected {entry.size} bytes, the server has {total}: it is "
                    f"another file; update sightline {MIRROR}"
                )
            if start != file.tell():
                _empty(file)
            while file.tell() < entry.size and (chunk := response.read(CHUNK)):
                file.write(chunk)
                if progress:
                    progress(entry.path, file.tell(), entry.size)
    except urllib.error.HTTPError as error:
        error.close()
        raise ModelError(_refusal(url, error)) from None
    except urllib.error.URLError as error:
        raise ModelError(
            f"{redact(url)}: no connection ({error.reason}); check the network {MIRROR}"
        ) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _BrokenError(str(error) or type(error).__name__) from None
    if file.tell() > entry.size:
        _empty(file)
        raise ModelError(f"{redact(url)}: more than {entry.size} bytes came: it is another file")
    if file.tell() < entry.size:
        raise _BrokenError("it ended early")


def _range(headers: Message) -> tuple[int, int | None]:
    """Where an answer starts in the file, and how long the file is (RFC 9110, section 14.4)."""
    if match := re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "")):
        return int(match[1]), int(match[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _empty(file: BinaryIO) -> None:
    file.truncate(0)
    file.seek(0)


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    if error.code in (404, 410):
        return f"{redact(url)}: not found ({error.code}); upstream may have moved it: wait {MIRROR}"
    return f"{redact(url)}: the server answers {error.code} {error.reason}; try later {MIRROR}"


def _lock(file: BinaryIO, target: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ModelError(f"{target}: another process is downloading it; wait for it") from None


def _require_space(file: BinaryIO, entry: FileEntry, target: Path) -> None:
    free, missing = shutil.disk_usage(target.parent).free, entry.size - file.tell()
    if free < missing:
        raise ModelError(
            f"{target}: {os.strerror(errno.ENOSPC)}: {missing} bytes are to come, {free} are free; "
            "make room or set SIGHTLINE_CACHE to a folder elsewhere"
        )


def _verify(part: Path, entry: FileEntry, url: str) -> None:
    try:
        check(part, entry)
    except ModelError as error:
        part.unlink()
        raise ModelError(
            f"{error}; what {redact(url)} gave is not the file of the manifest and was thrown away"
        ) from None

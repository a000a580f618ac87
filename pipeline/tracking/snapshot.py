"""The state of one camera's tracker in a file.

A NumPy archive (``.npz``): one array each part of the state, and ``header``, a JSON text as bytes.
The archive's comment, which are the last bytes of the file, is the SHA-256 of all bytes before it,
in hexadecimal; nothing is parsed before it is right. Nothing in the file is code: no pickle is
written, and none would be loaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

FORMAT = 1

_DIGEST = 64  # hexadecimal digits


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A camera's tracker at one moment.

    Attributes:
        camera: its id.
        pts_ns: of the last frame the tracker saw.
        utc_ns: wall clock when it saw that frame.
        made_by: what else the state depends on, as a hash; a tracker of another cannot take it.
        next_id: no track had this id or a larger one when the next snapshot had to be written.
        arrays: what `Tracker.saved` gave.
    """

    camera: str
    pts_ns: int
    utc_ns: int
    made_by: str
    next_id: int
    arrays: Mapping[str, NDArray[Any]]


def write(path: Path, snapshot: Snapshot) -> None:
    """Writes the file; whenever program or machine die, the old one or the new one is there.

    Raises:
        OSError: it cannot be written.
    """
    header = {
        "format": FORMAT,
        "camera": snapshot.camera,
        "pts_ns": snapshot.pts_ns,
        "utc_ns": snapshot.utc_ns,
        "made_by": snapshot.made_by,
        "next_id": snapshot.next_id,
    }
    archive = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(archive, allow_pickle=False, header=text, **snapshot.arrays)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(_signed(archive))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read(path: Path) -> Snapshot:
    """The snapshot in a file.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        DataError: it is damaged, no snapshot, or of a newer program.
    """
    data = path.read_bytes()
    if hashlib.sha256(data[:-_DIGEST]).hexdigest().encode() != data[-_DIGEST:]:
        raise DataError(f"{path} is damaged: its checksum is wrong")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        found = header.pop("format")
        if found == FORMAT:
            return Snapshot(**header, arrays=arrays)
    except (zipfile.BadZipFile, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is no state of a tracker: {error}") from error
    raise DataError(f"{path} has format {found}, of another version; this one reads {FORMAT}")


def _signed(archive: io.BytesIO) -> bytes:
    """The archive's bytes, with their checksum as its comment."""
    with zipfile.ZipFile(archive, "a") as opened:
        opened.comment = bytes(_DIGEST)
    body = archive.getvalue()[:-_DIGEST]
    return body + hashlib.sha256(body).hexdigest().encode()

"""A recording: what one stage handed on, frame by frame, in one file.

A zip archive without compression: ``recording.json`` says what it is, then for each packet
``000000.json`` (its header and plain values) and ``000000/<name>.npy`` (its arrays).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pipeline.errors import DataError
from pipeline.ledger import Ticket
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.recording.codec import PAYLOADS, Arrays, from_plain, to_plain

VERSION = 1
_ABOUT = "recording.json"


@dataclass(frozen=True, slots=True)
class About:
    """What a recording says of itself.

    Attributes:
        at: the stage whose results these are.
        payload: name of their class.
        version: of the format.
    """

    at: str
    payload: str
    version: int = VERSION


class RecordingWriter:
    """Writes beside the target and renames at the end, so that no half recording stays.

    Args:
        path: of the file.
        about: of the recording.
    """

    def __init__(self, path: Path, about: About) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED)
        self._zip.writestr(_ABOUT, json.dumps(asdict(about)))
        self._count = 0

    def write(self, packet: Packet[Any]) -> None:
        """Adds one packet."""
        arrays: Arrays = {}
        plain = {
            # Without the one time that differs from run to run: same frames, same bytes.
            "frame": asdict(replace(packet.frame, entered_ns=0)),
            "status": packet.status.name,
            "reason": packet.reason,
            "seen": packet.seen,
            "engine": packet.engine,
            "payload": to_plain(packet.payload, "payload", arrays),
        }
        entry = f"{self._count:06d}"
        self._zip.writestr(f"{entry}.json", json.dumps(plain))
        for name, array in arrays.items():
            stored = BytesIO()
            np.save(stored, array, allow_pickle=False)
            self._zip.writestr(f"{entry}/{name}.npy", stored.getbuffer())
        self._count += 1

    def finish(self) -> None:
        """The file is complete and gets its name."""
        self._zip.close()
        self._part.replace(self._path)

    def discard(self) -> None:
        """Removes what was written, if it is not finished."""
        self._zip.close()
        self._part.unlink(missing_ok=True)


class Recording:
    """A recording to be read.

    Attributes:
        path: of the file.
        about: what it says of itself.

    Args:
        path: of the file.

    Raises:
        DataError: the file is no recording, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            self.about = About(**json.loads(self._zip.read(_ABOUT)))
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path}: cannot be read as a recording: {error}") from None
        if self.about.version != VERSION or self.about.payload not in PAYLOADS:
            raise DataError(f"{path}: a recording this version does not know: {self.about}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def __len__(self) -> int:
        """How many packets there are."""
        return sum(name.endswith(".json") for name in self._zip.namelist()) - 1

    def packets(self) -> Iterator[Packet[Any]]:
        """The packets in the order they were recorded.

        Raises:
            DataError: one of them is damaged.
        """
        arrays_of: dict[str, list[str]] = {}
        for name in self._zip.namelist():
            entry, _, array = name.partition("/")
            if array:
                arrays_of[entry].append(array)
            elif name != _ABOUT:
                arrays_of[name.removesuffix(".json")] = []
        for entry, arrays in arrays_of.items():
            try:
                yield self._packet(entry, arrays)
            except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
                raise DataError(f"{self.path}: packet {entry} is damaged: {error}") from None

    def _packet(self, entry: str, names: list[str]) -> Packet[Any]:
        plain = json.loads(self._zip.read(f"{entry}.json"))
        arrays = {name.removesuffix(".npy"): self._array(f"{entry}/{name}") for name in names}
        kind = PAYLOADS[self.about.payload]
        frame = FrameInfo(**plain["frame"])
        return Packet(
            frame,
            from_plain(kind, plain["payload"], "payload", arrays),
            Ticket(frame.camera),
            Status[plain["status"]],
            plain["reason"],
            plain["engine"],
            plain["seen"],
        )

    def _array(self, name: str) -> Any:
        return np.load(BytesIO(self._zip.read(name)), allow_pickle=False)

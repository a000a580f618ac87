"""What was seen of one segment, on the disk: a file for each boundary, and a marker at last.

A file is a line of JSON that says what it is, and then a record a packet: its length and checksum,
a JSON text with the header and the plain values, and the bytes of the arrays, as they are in memory
(little-endian). Of a picture only the size is kept. The marker is written when all files are safe,
so a segment without one was not seen; it says how many packets there are.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import durable
from pipeline.batch.job import Seen
from pipeline.errors import DataError
from pipeline.ledger import Ticket
from pipeline.media.picture import NoPicture
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.recording.codec import PAYLOADS, Arrays, from_plain, to_plain

VERSION = 1
#: Length of the text, of the arrays, and the checksum of both, before each record.
_RECORD = struct.Struct("<III")
#: Arrays begin at multiples of this, so that what reads them is as fast as ever.
_ALIGN = 8
_BUFFER = 1 << 18


@dataclass(frozen=True, slots=True)
class About:
    """What a file of packets says of itself.

    Attributes:
        clip: name of the clip.
        segment: number of the segment.
        at: the boundary, a stage's name.
        payload: name of the packets' class.
        version: of the format.
    """

    clip: str
    segment: int
    at: str
    payload: str
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Marker:
    """What is known of a segment that was seen.

    Attributes:
        seen: as it was answered.
        dropped: why frames were dropped on the way, in a word, by their `pts_ns`.
        files: how many packets and bytes are in each boundary's file.
        version: of the format.
    """

    seen: Seen
    dropped: Mapping[int, str]
    files: Mapping[str, tuple[int, int]]
    version: int = VERSION


class SeenWriter:
    """Writes the packets of one boundary.

    Args:
        folder: of the clip.
        about: of the file.

    Attributes:
        path: the name that `finish` gives the file.
        packets: written by now.

    Raises:
        OSError: here or later, it cannot be written.
    """

    def __init__(self, folder: Path, about: About) -> None:
        self.path = path_of(folder, about.segment, about.at)
        self.packets = 0
        self._part = self.path.with_name(self.path.name + ".part")
        self._file = self._part.open("wb", buffering=_BUFFER)
        self._file.write(json.dumps(asdict(about)).encode() + b"\n")

    def write(self, packet: Packet[Any]) -> None:
        """Adds one packet."""
        self._file.write(_encode(packet))
        self.packets += 1

    def finish(self) -> tuple[int, int]:
        """The file is safe and gets its name; gives its packets and bytes."""
        size = self._file.tell()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self.path)
        return self.packets, size

    def discard(self) -> None:
        """Removes what was written, unless it is finished."""
        with suppress(OSError):  # what is left in the buffer need not be written any more
            self._file.close()
        self._part.unlink(missing_ok=True)


class SeenSegment:
    """A segment that was seen, to be read.

    Attributes:
        marker: what is known of it.

    Args:
        folder: of the clip.
        clip: its name.
        segment: the segment's number.

    Raises:
        DataError: it was not seen, or is damaged, or another's.
    """

    def __init__(self, folder: Path, clip: str, segment: int) -> None:
        self.marker = _read_marker(marker_of(folder, segment))
        self._folder = folder
        found = self.marker.seen
        if (found.clip, found.segment) != (clip, segment):
            raise DataError(
                f"{marker_of(folder, segment)}: is of segment {found.segment} of {found.clip!r}, "
                f"not {segment} of {clip!r}"
            )

    def packets(self, at: str) -> Iterator[Packet[Any]]:
        """The packets of a boundary, in order; their arrays are read-only.

        Raises:
            DataError: on the way, they are damaged, or not all there.
        """
        seen = self.marker.seen
        path = path_of(self._folder, seen.segment, at)
        count, size = self.marker.files.get(at, (0, -1))
        try:
            found = path.stat().st_size
            if found != size:
                raise DataError(f"{path}: is damaged: has {found} bytes instead of {size}")
            with path.open("rb", buffering=_BUFFER) as file:
                about = _read_about(path, file)
                if (about.clip, about.segment, about.at) != (seen.clip, seen.segment, at):
                    raise DataError(f"{path}: is another's: {about}")
                for _ in range(count):
                    yield _decode(path, file, about)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    def check(self) -> None:
        """Reads everything once. Raises `DataError` where something of it is damaged."""
        for at in self.marker.files:
            for _ in self.packets(at):
                pass


def path_of(folder: Path, segment: int, at: str) -> Path:
    """Where a boundary's packets are."""
    return folder / f"{segment:06d}-{at}.seen"


def marker_of(folder: Path, segment: int) -> Path:
    """Where it is said that a segment was seen."""
    return folder / f"{segment:06d}.json"


def finished(folder: Path, clip: str, segment: int) -> Seen:
    """What was found of a segment, of which every byte is looked at.

    Raises:
        DataError: it was not seen, or what is there is damaged: it is to be seen again.
    """
    found = SeenSegment(folder, clip, segment)
    found.check()
    return found.marker.seen


def write_marker(folder: Path, marker: Marker) -> None:
    """Says that a segment was seen; all its files are finished. Raises `OSError`."""
    plain = asdict(marker)
    text = json.dumps({"checksum": _checksum(plain), "marker": plain})
    durable.write(marker_of(folder, marker.seen.segment), text.encode())


def _read_marker(path: Path) -> Marker:
    try:
        whole = json.loads(path.read_bytes())
        plain = whole["marker"]
        if whole["checksum"] != _checksum(plain) or plain["version"] != VERSION:
            raise ValueError("its checksum or its version is wrong")
        return Marker(
            Seen(**plain["seen"]),
            {int(pts_ns): reason for pts_ns, reason in plain["dropped"].items()},
            {at: (packets, size) for at, (packets, size) in plain["files"].items()},
        )
    except FileNotFoundError:
        raise DataError(f"{path}: is not there: the segment was not seen to its end") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _checksum(plain: Mapping[str, Any]) -> int:
    return crc32(json.dumps(plain).encode())


def _read_about(path: Path, file: BinaryIO) -> About:
    try:
        about = About(**json.loads(file.readline()))
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: does not say what it is: {error}") from None
    if about.version != VERSION or about.payload not in PAYLOADS:
        raise DataError(f"{path}: this version does not know such a file: {about}")
    return about


def _encode(packet: Packet[Any]) -> bytes:
    arrays: Arrays = {}
    frame, picture = packet.frame, packet.payload.picture
    payload = replace(packet.payload, picture=NoPicture(picture.width, picture.height))
    text = json.dumps(
        [
            *(frame.index, frame.pts_ns, frame.epoch),
            *(packet.status, packet.reason, packet.engine, packet.seen),
            to_plain(payload, "", arrays),
            [(name, array.dtype.str, array.shape) for name, array in arrays.items()],
        ],
        separators=(",", ":"),
    ).encode()
    blocks = [array.tobytes() for array in arrays.values()]
    body = b"".join(block + bytes(-len(block) % _ALIGN) for block in blocks)
    text += b" " * (-len(text) % _ALIGN)
    return _RECORD.pack(len(text), len(body), crc32(body, crc32(text))) + text + body


def _decode(path: Path, file: BinaryIO, about: About) -> Packet[Any]:
    try:
        in_text, in_body, checksum = _RECORD.unpack(file.read(_RECORD.size))
        data = file.read(in_text + in_body)
        if len(data) != in_text + in_body or crc32(data) != checksum:
            raise ValueError("its length or its checksum is wrong")
        index, pts_ns, epoch, status, reason, engine, seen, plain, shapes = json.loads(
            data[:in_text]
        )
        payload = from_plain(PAYLOADS[about.payload], plain, "", _arrays(data, in_text, shapes))
    except (struct.error, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: a packet in it is damaged: {error}") from None
    picture = payload.picture
    frame = FrameInfo(about.clip, 0, index, pts_ns, picture.width, picture.height, epoch)
    return Packet(frame, payload, Ticket(about.clip), Status(status), reason, engine, seen)


def _arrays(
    data: bytes, start: int, shapes: Sequence[tuple[str, str, Sequence[int]]]
) -> Mapping[str, NDArray[Any]]:
    """The arrays that lie behind one another from `start` on: views of `data`, read-only."""
    arrays = {}
    for name, kind, shape in shapes:
        dtype = np.dtype(kind)
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(data, dtype, count, start).reshape(shape)
        start += -(-count * dtype.itemsize // _ALIGN) * _ALIGN
    return arrays

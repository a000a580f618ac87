"""Telegram: bytes ↔ message. docs/telegram.md is the specification; this follows it."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.analytics.event import Analysis
from pipeline.errors import MessageError, RefusedError
from pipeline.output import telegram_events, telegram_texts
from pipeline.output.envelope import (
    AUTHENTICATED,
    BEGAN,
    CHECKSUM,
    ENCRYPTED,
    TAG_BYTES,
    Checksum,
    Envelope,
    Opener,
)
from pipeline.output.message import UTC_SOURCES, Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState

MAGIC = b"SLTG"
VERSION = 1
HEADER = struct.Struct("<4sBBBBQIIqqIHHBBHBBBBBBH")
RECORD = np.dtype(
    [
        ("id", "<u4"),
        ("kind", "<u2"),  # predicted << 15 | state << 13 | label
        ("score", "u1"),  # floor(256 * score)
        ("box_xyxy", "<f4", (4,)),
        ("velocity", "<u2", (2,)),  # bfloat16: the upper half of a float32
    ]
)
#: A record of a track whose speed over ground may be known.
SPEED_RECORD = np.dtype([*RECORD.descr, ("speed_kmh", "<u2")])  # bfloat16; NaN: not known
#: What a 1500-byte packet holds below the headers of IPv6 (40) and UDP (8).
PAYLOAD = 1500 - 48
MOST_FRAGMENTS = 255
MOST_LABELS = 1 << 13
#: Longest texts, in bytes of UTF-8; a longer engine id or reason is cut.
CAMERA_BYTES, ENGINE_BYTES, REASON_BYTES = 128, 128, 64

#: A flag that may be ignored: the session ends with this message.
LAST = 1
#: A must-understand flag: the records are events.
EVENTS = 4

_AGE_UNKNOWN = 0xFFFF
_U32 = 0xFFFFFFFF
# An array, which numpy takes as it is: it would convert a number on every call.
_SCORE_UNIT = np.array(np.nextafter(np.float32(256), np.float32(0)))  # so that 1.0 becomes 255


#: Must-understand flags, size of a record, how many there are, and their bytes.
_Part = tuple[int, int, int, bytes]


class Encoder:
    """Message → datagrams; keeps its scratch memory, so it belongs to one thread.

    Args:
        payload: most bytes of one datagram, at least 500.
        envelope: what closes a datagram.
    """

    def __init__(self, payload: int = PAYLOAD, envelope: Envelope | None = None) -> None:
        self._payload = payload
        self._envelope = envelope or Checksum()
        self._reserve(64)

    def _reserve(self, records: int) -> None:
        self._records = np.empty(records, RECORD)
        # Slicing a column costs more than filling it, so the slices for each length are kept.
        self._columns: dict[int, tuple[NDArray[Any], ...]] = {}

    def encode(self, message: Message) -> list[bytes]:
        """The datagrams that tell a whole message, at least one.

        Args:
            message: its own `fragment` and `fragments` are not looked at. Ids are below 2³²,
                labels below `MOST_LABELS`; `epoch`, `frame` and `sequence` are told modulo 2³².
                Of its analysis, events and speeds are told.

        Raises:
            ValueError: an id is too large, the camera's id is longer than `CAMERA_BYTES`, or
                tracks and events do not fit into `MOST_FRAGMENTS`; or its number was sealed before.
        """
        lengths, texts = _texts(message.camera, message.engine, message.reason)
        envelope = self._envelope
        extension = BEGAN.pack(message.began_ns) if envelope.flags else b""
        header_size = HEADER.size + len(extension)
        room = self._payload - header_size - len(texts) - envelope.trailer
        parts = self._parts(message, room)
        if len(parts) > MOST_FRAGMENTS:
            raise ValueError(
                f"{len(message.tracks)} tracks and what happened need {len(parts)} fragments, "
                f"{MOST_FRAGMENTS} at most"
            )
        age_ms = message.age_ms
        datagrams = []
        for fragment, (flags, record_size, count, body) in enumerate(parts):
            header = HEADER.pack(
                MAGIC,
                VERSION,
                header_size,
                envelope.flags | flags,
                record_size,
                message.session,
                message.sequence & _U32,
                message.epoch & _U32,
                message.pts_ns,
                message.utc_ns or 0,
                message.frame & _U32,
                min(message.width, 0xFFFF),
                min(message.height, 0xFFFF),
                message.status,
                UTC_SOURCES.index(message.utc_source),
                _AGE_UNKNOWN if age_ms is None else _saturated(age_ms),
                *lengths,
                LAST if message.last else 0,
                fragment,
                len(parts),
                count,
            )
            datagrams.append(envelope.close(header + extension, texts + body))
        return datagrams

    def _parts(self, message: Message, room: int) -> list[_Part]:
        """What each fragment has between texts and end, `room` bytes at most; tracks come first."""
        records, analysis = self._fill(message.tracks), message.analysis
        if analysis is not None and len(analysis.speeds_kmh):
            records = _with_speeds(records, analysis.speeds_kmh)
        size = records.itemsize
        parts = [(0, size, len(part), part.tobytes()) for part in _cut(records, room // size)]
        if analysis is not None and analysis.events:
            size = telegram_events.RECORD.size
            cut = telegram_events.encode(analysis.events, room)
            parts += [(EVENTS, size, count, body) for body, count in cut]
        return parts

    def _fill(self, tracks: Tracks) -> NDArray[np.void]:
        """The tracks as records, in the scratch memory."""
        n = len(tracks)
        if n > len(self._records):
            self._reserve(2 * n)
        if not n:
            return self._records[:0]
        if tracks.ids.item(-1) > _U32:  # sorted: the last is the largest
            raise ValueError(f"track id {tracks.ids[-1]} is not below 2^32")
        columns = self._columns.get(n)
        if columns is None:
            names = RECORD.names or ()
            columns = self._columns[n] = tuple(self._records[name][:n] for name in names)
        ids, kinds, scores, boxes_xyxy, velocities = columns
        ids[...] = tracks.ids
        kinds[...] = tracks.labels
        if tracks.states.tobytes().count(1) != n or tracks.unseen_s.tobytes().count(0) != 4 * n:
            kinds |= _flags(tracks)
        np.multiply(tracks.scores, _SCORE_UNIT, out=scores, casting="unsafe")
        boxes_xyxy[...] = tracks.boxes_xyxy
        velocities[...] = tracks.velocities.view(np.uint16)[:, 1::2]
        return self._records[:n]


def _cut(records: NDArray[np.void], most: int) -> list[NDArray[np.void]]:
    """Consecutive parts of so many at most, at least one."""
    if len(records) <= most:
        return [records]
    return [records[at : at + most] for at in range(0, len(records), most)]


def _with_speeds(records: NDArray[np.void], speeds_kmh: NDArray[np.float32]) -> NDArray[np.void]:
    """The records, each with its track's speed."""
    longer = np.empty(len(records), SPEED_RECORD)
    for name in RECORD.names or ():
        longer[name] = records[name]
    longer["speed_kmh"] = speeds_kmh.view(np.uint16)[1::2]
    return longer


def _flags(tracks: Tracks) -> NDArray[np.uint16]:
    """The upper bits of `kind`; 0 for what is usual: confirmed, and detected in this frame."""
    state = (tracks.states ^ np.uint8(TrackState.CONFIRMED)).astype(np.uint16)
    flags: NDArray[np.uint16] = (tracks.unseen_s != 0).astype(np.uint16) << 15 | state << 13
    return flags


def _saturated(age_ms: float) -> int:
    return max(0, min(round(age_ms), _AGE_UNKNOWN - 1))


@lru_cache(maxsize=1024)
def _texts(camera: str, engine: str, reason: str) -> tuple[tuple[int, int, int], bytes]:
    """Lengths and bytes of the three texts."""
    cut = telegram_texts.cut
    texts = camera.encode(), cut(engine, ENGINE_BYTES), cut(reason, REASON_BYTES)
    lengths = len(texts[0]), len(texts[1]), len(texts[2])
    if lengths[0] > CAMERA_BYTES:
        raise ValueError(f"camera id {camera!r} is longer than {CAMERA_BYTES} bytes")
    return lengths, b"".join(texts)


def decode(datagram: bytes, opener: Opener | None = None) -> Message:
    """One datagram's message; the arrays are new.

    Args:
        opener: has the key; None reads what is not authenticated, and nothing else.

    Raises:
        MessageError: with the reason ``short``, ``bad_magic``, ``unknown_version``,
            ``unknown_flags``, ``bad_checksum``, ``bad_length``, ``bad_value`` or ``bad_text``.
        RefusedError: ``no_key``: it is authenticated and there is no opener; ``unauthenticated``:
            the other way round; ``not_authentic``: as `Opener.open`.
    """
    content = _opened(datagram, opener)
    (_, _, header_size, _, record_size, session, sequence, epoch, pts_ns, utc_ns, frame, width) = (
        fields := HEADER.unpack_from(content)
    )[:12]
    height, status, utc_source, age_ms, camera_n, engine_n, reason_n, flags = fields[12:20]
    fragment, fragments, count = fields[20:]
    start = header_size + camera_n + engine_n + reason_n
    if header_size < HEADER.size or start > len(content):
        raise MessageError("bad_length", f"header and texts of {start} bytes, {len(content)} came")
    if status > max(Status) or utc_source >= len(UTC_SOURCES) or fragment >= fragments:
        raise MessageError(
            "bad_value", f"status {status}, UTC source {utc_source}, part {fragment}/{fragments}"
        )
    lengths = camera_n, engine_n, reason_n
    camera, engine, reason = telegram_texts.read(content, header_size, lengths)
    tracks, analysis = _read_records(content, start, count, record_size)
    return Message(
        camera=camera,
        epoch=epoch,
        frame=frame,
        pts_ns=pts_ns,
        width=width,
        height=height,
        status=Status(status),
        reason=reason,
        engine=engine,
        tracks=tracks,
        utc_ns=utc_ns if utc_source else None,
        utc_source=UTC_SOURCES[utc_source],
        session=session,
        began_ns=BEGAN.unpack_from(content, HEADER.size)[0] if _is_sealed(content) else 0,
        sequence=sequence,
        age_ms=None if age_ms == _AGE_UNKNOWN else float(age_ms),
        fragment=fragment,
        fragments=fragments,
        last=bool(flags & LAST),
        analysis=analysis,
    )


def _opened(datagram: bytes, opener: Opener | None) -> bytes:
    """Header, texts and records, in the clear and as they were sent."""
    if len(datagram) < HEADER.size + CHECKSUM.size:
        raise MessageError("short", f"{len(datagram)} bytes came, the least are {HEADER.size + 4}")
    if datagram[:4] != MAGIC:
        raise MessageError("bad_magic", f"expected {MAGIC!r}, got {datagram[:4]!r}")
    if datagram[4] != VERSION:
        raise MessageError("unknown_version", f"expected {VERSION}, got {datagram[4]}")
    if datagram[6] & ~(AUTHENTICATED | ENCRYPTED | EVENTS):
        raise MessageError("unknown_flags", f"flags 0x{datagram[6]:02x} must be understood")
    if _is_sealed(datagram):
        _check_sealed(datagram)
        if opener is None:
            raise RefusedError("no_key", "it is authenticated; give the key")
        return opener.open(datagram)
    if opener is not None:
        raise RefusedError("unauthenticated", "anybody can have sent it")
    (said,) = CHECKSUM.unpack_from(datagram, len(datagram) - CHECKSUM.size)
    found = zlib.crc32(memoryview(datagram)[: -CHECKSUM.size])
    if said != found:
        raise MessageError("bad_checksum", f"it says {said:08x}, its bytes make {found:08x}")
    return datagram[: -CHECKSUM.size]


def _is_sealed(datagram: bytes) -> bool:
    return bool(datagram[6] & ~EVENTS)


def _check_sealed(datagram: bytes) -> None:
    if not datagram[6] & AUTHENTICATED:
        raise MessageError("unknown_flags", f"flags 0x{datagram[6]:02x}: encrypted only")
    least, most = HEADER.size + BEGAN.size, len(datagram) - TAG_BYTES
    if not least <= datagram[5] <= most:
        raise MessageError("bad_length", f"a header of {datagram[5]} bytes, not {least} to {most}")


def _read_records(
    content: bytes, start: int, count: int, size: int
) -> tuple[Tracks, Analysis | None]:
    """What follows the texts: tracks, perhaps with speeds, or events."""
    if content[6] & EVENTS:
        return Tracks.empty(), Analysis(telegram_events.decode(content, start, count, size))
    expected = start + count * size
    if size < RECORD.itemsize or expected != len(content):
        raise MessageError(
            "bad_length",
            f"{count} records of {size} bytes make {expected} bytes, {len(content)} came",
        )
    if size < SPEED_RECORD.itemsize or not count:
        return _read_tracks(np.ndarray((count,), RECORD, content, start, (size,))), None
    records = np.ndarray((count,), SPEED_RECORD, content, start, (size,))
    speeds_kmh = _widened(records["speed_kmh"])
    if np.isinf(speeds_kmh).any():
        raise MessageError("bad_value", "a speed is not finite")
    return _read_tracks(records), Analysis(speeds_kmh=speeds_kmh)


def _widened(bfloat16: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (bfloat16.astype(np.uint32) << 16).view(np.float32)


def _read_tracks(records: NDArray[np.void]) -> Tracks:
    boxes_xyxy = records["box_xyxy"].astype(np.float32)
    velocities = _widened(records["velocity"])
    if not (np.isfinite(boxes_xyxy).all() and np.isfinite(velocities).all()):
        raise MessageError("bad_value", "a box or velocity is not finite")
    kinds = records["kind"]
    state = (kinds >> 13 & 3).astype(np.uint8) ^ np.uint8(TrackState.CONFIRMED)
    return Tracks(
        ids=records["id"].astype(np.int64),
        boxes_xyxy=boxes_xyxy,
        scores=(records["score"].astype(np.float32) + np.float32(0.5)) / np.float32(256),
        labels=(kinds % MOST_LABELS).astype(np.int32),
        states=state,
        velocities=velocities,
        ages_s=np.full(len(records), np.nan, np.float32),
        unseen_s=np.where(kinds >> 15, np.float32(np.nan), np.float32(0)),
    )

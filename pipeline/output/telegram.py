"""Telegram: bytes ↔ message. docs/telegram.md is the specification; this follows it."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MessageError, RefusedError
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
#: What a 1500-byte packet holds below the headers of IPv6 (40) and UDP (8).
PAYLOAD = 1500 - 48
MOST_FRAGMENTS = 255
MOST_LABELS = 1 << 13
#: Longest texts, in bytes of UTF-8; a longer engine id or reason is cut.
CAMERA_BYTES, ENGINE_BYTES, REASON_BYTES = 128, 128, 64

#: A flag that may be ignored: the session ends with this message.
LAST = 1

_AGE_UNKNOWN = 0xFFFF
_U32 = 0xFFFFFFFF
# An array, which numpy takes as it is: it would convert a number on every call.
_SCORE_UNIT = np.array(np.nextafter(np.float32(256), np.float32(0)))  # so that 1.0 becomes 255


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

        Raises:
            ValueError: an id is too large, the camera's id is longer than `CAMERA_BYTES`, or the
                tracks do not fit into `MOST_FRAGMENTS`; or its number was sealed before.
        """
        lengths, texts = _texts(message.camera, message.engine, message.reason)
        records = self._fill(message.tracks)
        envelope = self._envelope
        extension = BEGAN.pack(message.began_ns) if envelope.flags else b""
        header_size = HEADER.size + len(extension)
        room = (self._payload - header_size - len(texts) - envelope.trailer) // RECORD.itemsize
        fragments = -(-len(records) // room) or 1
        if fragments > MOST_FRAGMENTS:
            raise ValueError(
                f"{len(records)} tracks need {fragments} fragments, {MOST_FRAGMENTS} at most"
            )
        age_ms = message.age_ms
        datagrams = []
        for fragment in range(fragments):
            part = records[fragment * room : (fragment + 1) * room]
            header = HEADER.pack(
                MAGIC,
                VERSION,
                header_size,
                envelope.flags,
                RECORD.itemsize,
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
                fragments,
                len(part),
            )
            datagrams.append(envelope.close(header + extension, texts + part.tobytes()))
        return datagrams

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
    texts = camera.encode(), _cut(engine, ENGINE_BYTES), _cut(reason, REASON_BYTES)
    lengths = len(texts[0]), len(texts[1]), len(texts[2])
    if lengths[0] > CAMERA_BYTES:
        raise ValueError(f"camera id {camera!r} is longer than {CAMERA_BYTES} bytes")
    return lengths, b"".join(texts)


def _cut(text: str, limit: int) -> bytes:
    """UTF-8 of at most `limit` bytes, cut between characters."""
    return text.encode()[:limit].decode(errors="ignore").encode()


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
    expected = start + count * record_size
    if header_size < HEADER.size or record_size < RECORD.itemsize or expected != len(content):
        raise MessageError(
            "bad_length",
            f"header of {header_size}, {count} records of {record_size} bytes "
            f"make {expected} bytes, {len(content)} came",
        )
    if status > max(Status) or utc_source >= len(UTC_SOURCES) or fragment >= fragments:
        raise MessageError(
            "bad_value", f"status {status}, UTC source {utc_source}, part {fragment}/{fragments}"
        )
    camera, engine, reason = _read_texts(content, header_size, (camera_n, engine_n, reason_n))
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
        tracks=_read_tracks(content, start, count, record_size),
        utc_ns=utc_ns if utc_source else None,
        utc_source=UTC_SOURCES[utc_source],
        session=session,
        began_ns=BEGAN.unpack_from(content, HEADER.size)[0] if content[6] else 0,
        sequence=sequence,
        age_ms=None if age_ms == _AGE_UNKNOWN else float(age_ms),
        fragment=fragment,
        fragments=fragments,
        last=bool(flags & LAST),
    )


def _opened(datagram: bytes, opener: Opener | None) -> bytes:
    """Header, texts and records, in the clear and as they were sent."""
    if len(datagram) < HEADER.size + CHECKSUM.size:
        raise MessageError("short", f"{len(datagram)} bytes came, the least are {HEADER.size + 4}")
    if datagram[:4] != MAGIC:
        raise MessageError("bad_magic", f"expected {MAGIC!r}, got {datagram[:4]!r}")
    if datagram[4] != VERSION:
        raise MessageError("unknown_version", f"expected {VERSION}, got {datagram[4]}")
    if datagram[6]:
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


def _check_sealed(datagram: bytes) -> None:
    if datagram[6] not in (AUTHENTICATED, AUTHENTICATED | ENCRYPTED):
        raise MessageError("unknown_flags", f"flags 0x{datagram[6]:02x} must be understood")
    least, most = HEADER.size + BEGAN.size, len(datagram) - TAG_BYTES
    if not least <= datagram[5] <= most:
        raise MessageError("bad_length", f"a header of {datagram[5]} bytes, not {least} to {most}")


def _read_texts(datagram: bytes, at: int, lengths: tuple[int, int, int]) -> list[str]:
    texts = []
    for length in lengths:
        try:
            texts.append(datagram[at : at + length].decode())
        except UnicodeDecodeError as error:
            raise MessageError("bad_text", f"not UTF-8 at byte {at + error.start}") from None
        at += length
    return texts


def _read_tracks(datagram: bytes, start: int, count: int, record_size: int) -> Tracks:
    records = np.ndarray((count,), RECORD, datagram, start, (record_size,))
    boxes_xyxy = records["box_xyxy"].astype(np.float32)
    velocities = (records["velocity"].astype(np.uint32) << 16).view(np.float32)
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
        ages_s=np.full(count, np.nan, np.float32),
        unseen_s=np.where(kinds >> 15, np.float32(np.nan), np.float32(0)),
    )

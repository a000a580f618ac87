"""Telegram: bytes ↔ message. docs/telegram.md is the specification; this follows it."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MessageError
from pipeline.output.message import UTC_SOURCES, Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState

MAGIC = b"SLTG"
VERSION = 1
HEADER = struct.Struct("<4sBBBBQIIqqIHHBBHBBBBBBH")
CHECKSUM = struct.Struct("<I")
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

_AGE_UNKNOWN = 0xFFFF
_U32 = 0xFFFFFFFF
# An array, which numpy takes as it is: it would convert a number on every call.
_SCORE_UNIT = np.array(np.nextafter(np.float32(256), np.float32(0)))  # so that 1.0 becomes 255


class Encoder:
    """Message → datagrams; keeps its scratch memory, so it belongs to one thread.

    Args:
        payload: most bytes of one datagram, at least 500.
    """

    def __init__(self, payload: int = PAYLOAD) -> None:
        self._payload = payload
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
                tracks do not fit into `MOST_FRAGMENTS`.
        """
        lengths, texts = _texts(message.camera, message.engine, message.reason)
        records = self._fill(message.tracks)
        room = (self._payload - HEADER.size - len(texts) - CHECKSUM.size) // RECORD.itemsize
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
                HEADER.size,
                0,
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
                0,
                fragment,
                fragments,
                len(part),
            )
            body = header + texts + part.tobytes()
            datagrams.append(body + CHECKSUM.pack(zlib.crc32(body)))
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


def decode(datagram: bytes) -> Message:
    """One datagram's message; the arrays are new.

    Raises:
        MessageError: with the reason ``short``, ``bad_magic``, ``unknown_version``,
            ``unknown_flags``, ``bad_checksum``, ``bad_length``, ``bad_value`` or ``bad_text``.
    """
    _check_envelope(datagram)
    (_, _, header_size, _, record_size, session, sequence, epoch, pts_ns, utc_ns, frame, width) = (
        fields := HEADER.unpack_from(datagram)
    )[:12]
    height, status, utc_source, age_ms, camera_n, engine_n, reason_n, _ = fields[12:20]
    fragment, fragments, count = fields[20:]
    start = header_size + camera_n + engine_n + reason_n
    expected = start + count * record_size + CHECKSUM.size
    if header_size < HEADER.size or record_size < RECORD.itemsize or expected != len(datagram):
        raise MessageError(
            "bad_length",
            f"header of {header_size}, {count} records of {record_size} bytes "
            f"make {expected} bytes, {len(datagram)} came",
        )
    if status > max(Status) or utc_source >= len(UTC_SOURCES) or fragment >= fragments:
        raise MessageError(
            "bad_value", f"status {status}, UTC source {utc_source}, part {fragment}/{fragments}"
        )
    camera, engine, reason = _read_texts(datagram, header_size, (camera_n, engine_n, reason_n))
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
        tracks=_read_tracks(datagram, start, count, record_size),
        utc_ns=utc_ns if utc_source else None,
        utc_source=UTC_SOURCES[utc_source],
        session=session,
        sequence=sequence,
        age_ms=None if age_ms == _AGE_UNKNOWN else float(age_ms),
        fragment=fragment,
        fragments=fragments,
    )


def _check_envelope(datagram: bytes) -> None:
    if len(datagram) < HEADER.size + CHECKSUM.size:
        raise MessageError("short", f"{len(datagram)} bytes came, the least are {HEADER.size + 4}")
    if datagram[:4] != MAGIC:
        raise MessageError("bad_magic", f"expected {MAGIC!r}, got {datagram[:4]!r}")
    if datagram[4] != VERSION:
        raise MessageError("unknown_version", f"expected {VERSION}, got {datagram[4]}")
    if datagram[6]:
        raise MessageError("unknown_flags", f"flags 0x{datagram[6]:02x} must be understood")
    (said,) = CHECKSUM.unpack_from(datagram, len(datagram) - CHECKSUM.size)
    found = zlib.crc32(memoryview(datagram)[: -CHECKSUM.size])
    if said != found:
        raise MessageError("bad_checksum", f"it says {said:08x}, its bytes make {found:08x}")


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

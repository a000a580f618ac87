"""Encoded pictures as RTP packets, and the sender's reports.

RFC 3550 (RTP, RTCP), RFC 6184 (H.264), RFC 7798 (H.265), RFC 2435 (JPEG).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from tests.rtsp.clip import Clip, Codec, Unit

CLOCK_HZ = 90_000
PAYLOAD_TYPES: dict[Codec, int] = {"h264": 96, "h265": 97, "mjpeg": 26}
_LARGEST = 1400
_MARKER = 0x80
# Seconds from 1900, where NTP begins, to 1970.
_NTP_UNIX_S = 2_208_988_800
_MODULUS = 1 << 32


class RtpStream:
    """Numbers and times the packets of one stream, and counts them for its reports.

    Attributes:
        timestamp: of the current picture, in ticks of `CLOCK_HZ`, modulo 2^32.
        sequence: of the next packet.
    """

    def __init__(self, chance: random.Random) -> None:
        self.sequence = chance.getrandbits(16)
        self.timestamp = chance.getrandbits(32)
        self._ssrc = chance.getrandbits(32)
        self._packets = self._octets = 0

    def advance(self, seconds: float) -> None:
        """Moves the stream's clock, also backwards."""
        self.timestamp = (self.timestamp + round(seconds * CLOCK_HZ)) % _MODULUS

    def wrap_in(self, seconds: float) -> None:
        """Sets the clock so that it passes 2^32 after so long."""
        self.timestamp = -round(seconds * CLOCK_HZ) % _MODULUS

    def packets(self, clip: Clip, unit: Unit, *, markers: bool = True) -> Iterator[bytes]:
        """The packets of one picture; the last one has the marker."""
        parts = list(payloads(clip, unit))
        for number, payload in enumerate(parts):
            marked = _MARKER if markers and number == len(parts) - 1 else 0
            kind = marked | PAYLOAD_TYPES[clip.codec]
            header = struct.pack(">BBHII", 0x80, kind, self.sequence, self.timestamp, self._ssrc)
            self.sequence = (self.sequence + 1) % (1 << 16)
            self._packets += 1
            self._octets += len(payload)
            yield header + payload

    def sender_report(self, utc_s: float) -> bytes:
        """Says which wall-clock time the current timestamp is (RFC 3550, 6.4.1)."""
        ntp = round((utc_s + _NTP_UNIX_S) * _MODULUS)
        counts = self._packets % _MODULUS, self._octets % _MODULUS
        return struct.pack(">BBHIQIII", 0x80, 200, 6, self._ssrc, ntp, self.timestamp, *counts)


def payloads(clip: Clip, unit: Unit) -> Iterator[bytes]:
    """The payloads of the packets that carry one picture."""
    if clip.codec == "mjpeg":
        yield from _jpeg(clip, unit.nals[0])
        return
    for nal in unit.nals:
        if len(nal) <= _LARGEST:
            yield nal
        elif clip.codec == "h264":
            yield from _fragments(nal[1:], bytes([nal[0] & 0xE0 | 28]), nal[0] & 31)
        else:
            head = bytes([nal[0] & 0x81 | 49 << 1, nal[1]])
            yield from _fragments(nal[2:], head, nal[0] >> 1 & 63)


def _fragments(body: bytes, head: bytes, kind: int) -> Iterator[bytes]:
    """A NAL unit that does not fit in one packet: RFC 6184 5.8, RFC 7798 4.4.3."""
    for start in range(0, len(body), _LARGEST):
        first, last = start == 0, start + _LARGEST >= len(body)
        yield head + bytes([first << 7 | last << 6 | kind]) + body[start : start + _LARGEST]


def _jpeg(clip: Clip, jpeg: bytes) -> Iterator[bytes]:
    """A baseline JPEG with 4:2:0 chroma (type 1), its tables in the first packet (Q 255)."""
    tables, scan = _taken_apart(jpeg)
    for start in range(0, len(scan), _LARGEST):
        header = struct.pack(">IBBBB", start, 1, 255, clip.width // 8, clip.height // 8)
        if start == 0:
            header += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield header + scan[start : start + _LARGEST]


def _taken_apart(jpeg: bytes) -> tuple[bytes, bytes]:
    """The two quantisation tables, 64 bytes each, and the entropy-coded scan (ITU-T T.81, B)."""
    tables: dict[int, bytes] = {}
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", jpeg, at)
        body = jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xFFDB:
            tables |= {body[i]: body[i + 1 : i + 65] for i in range(0, len(body), 65)}
        elif marker == 0xFFDA:
            luma = tables[0]
            return luma + tables.get(1, luma), jpeg[at:-2]

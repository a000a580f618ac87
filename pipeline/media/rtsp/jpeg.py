"""From packets to JPEG pictures (RFC 2435)."""

from __future__ import annotations

import struct

from pipeline.media.rtsp.description import Offer
from pipeline.media.rtsp.payload import Assembler

# ITU-T T.81, tables K.1 and K.2, row by row.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
# T.81, figure A.6: along the diagonals, up and down in turn.
_ZIGZAG = sorted(
    range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0 else i // 8)
)
_FULL_SIZE = 128  # bytes of two tables of 8 bits


class Jpeg(Assembler):
    """A JPEG's scan comes in packets; its headers are made anew from what each packet says.

    Huffman tables are the standard ones (T.81, K.3), which the decoder knows.
    """

    codec = "mjpeg"

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self._head = b""
        self._tables: dict[int, bytes] = {}

    def _add(self, payload: bytes, gap: bool) -> None:
        if len(payload) < 8:
            return
        offset, kind, quality = int.from_bytes(payload[1:4]), payload[4], payload[5]
        at, interval = 8, 0
        if kind & 0x40 and len(payload) >= 12:
            at, interval = 12, payload[8] << 8 | payload[9]
        if offset == 0:
            self._data.clear()
            tables, at = self._quantisation(payload, at, quality)
            self._head = _head(tables, kind & 0x3F, payload[6] * 8, payload[7] * 8, interval)
        if offset != len(self._data):
            self._incomplete = True
        self._data += payload[at:]

    def _quantisation(self, payload: bytes, at: int, quality: int) -> tuple[bytes, int]:
        """Both tables, and where the scan begins (3.1.8)."""
        if quality < 128:
            return _scaled(quality), at
        length = int.from_bytes(payload[at + 2 : at + 4])
        tables = payload[at + 4 : at + 4 + length]
        if length == _FULL_SIZE and len(tables) == length:
            self._tables[quality] = tables
        return self._tables.get(quality, b""), at + 4 + length

    def _closed(self) -> bytes:
        head, self._head = self._head, b""
        return head + self._data + b"\xff\xd9" if head else b""


def _scaled(quality: int) -> bytes:
    """Both tables for a quality 1..99 (4.2)."""
    factor = max(1, min(99, quality))
    scale = 5000 // factor if factor < 50 else 200 - 2 * factor
    tables = ([table[i] for i in _ZIGZAG] for table in (_LUMA, _CHROMA))
    return bytes(max(1, min(255, (v * scale + 50) // 100)) for table in tables for v in table)


def _head(tables: bytes, kind: int, width: int, height: int, interval: int) -> bytes:
    """Everything before the scan (T.81, B.2); empty where the picture cannot be read.

    Args:
        tables: both, 64 bytes each.
        kind: 0: chroma at half width; 1: at half width and height.
        width: pixels.
        height: pixels.
        interval: of restart markers; 0: there are none.
    """
    if len(tables) != _FULL_SIZE or kind > 1 or not width * height:
        return b""
    quantisation = b"".join(
        struct.pack(">HHB", 0xFFDB, 67, number) + tables[number * 64 : number * 64 + 64]
        for number in (0, 1)
    )
    sampling = 0x21 if kind == 0 else 0x22
    frame = struct.pack(">HHBHHB", 0xFFC0, 17, 8, height, width, 3)
    frame += bytes([0, sampling, 0, 1, 0x11, 1, 2, 0x11, 1])
    restart = struct.pack(">HHH", 0xFFDD, 4, interval) if interval else b""
    scan = struct.pack(">HHB", 0xFFDA, 12, 3) + bytes([0, 0x00, 1, 0x11, 2, 0x11, 0, 63, 0])
    return b"\xff\xd8" + quantisation + frame + restart + scan

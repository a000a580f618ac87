"""RTP packets (RFC 3550, 5.1) in order, and what is missing between them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct(">BBHII")
_MODULUS = 1 << 16
# Numbers that are further apart belong to a stream that began anew (RFC 3550, A.1: MAX_DROPOUT).
_DROPOUT = 3000
_MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet.

    Attributes:
        payload_type: what `payload` is, as agreed.
        marker: it is the last one of its picture.
        sequence: 0..65535.
        timestamp: of its picture, in ticks of the stream's clock, modulo 2^32.
        source: identifies the stream.
        payload: without header and padding.
    """

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    source: int
    payload: bytes


def parse(data: bytes) -> RtpPacket | None:
    """The packet in `data`; None where there is none."""
    if len(data) < _HEADER.size or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, source = _HEADER.unpack_from(data)
    begin = _HEADER.size + 4 * (first & 15)
    if first & 0x10:
        if len(data) < begin + 4:
            return None
        begin += 4 + 4 * (data[begin + 2] << 8 | data[begin + 3])
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if begin > end:
        return None
    return RtpPacket(
        second & 0x7F, bool(second & 0x80), sequence, timestamp, source, data[begin:end]
    )


class Sequencer:
    """Puts packets in order and tells where some are missing.

    Args:
        hold_ns: how long packets wait for one that was sent before them; 0 where the way keeps the
            order.

    Attributes:
        lost: how many never came, or came too late.
    """

    def __init__(self, hold_ns: int = 0) -> None:
        self.lost = 0
        self._hold_ns = hold_ns
        self._source: int | None = None
        self._next: int | None = None
        self._gap = False
        self._waiting: dict[int, tuple[RtpPacket, int]] = {}

    def push(self, packet: RtpPacket, now_ns: int) -> Iterator[tuple[RtpPacket, bool]]:
        """Takes a packet in; gives those whose turn it is, each with whether some are missing."""
        if self._next is None or packet.source != self._source or self._is_far(packet.sequence):
            # The first one, or a stream that began anew.
            self._gap = self._next is not None
            self._waiting.clear()
            self._source, self._next = packet.source, packet.sequence
        elif self._ahead(packet.sequence) >= _DROPOUT:
            return iter(())  # a copy, or too late
        self._waiting[packet.sequence] = packet, now_ns
        return self.due(now_ns)

    def due(self, now_ns: int) -> Iterator[tuple[RtpPacket, bool]]:
        """The packets whose turn it is by now."""
        while self._waiting and self._next is not None:
            if self._next not in self._waiting:
                if not self._give_up(now_ns):
                    return
                first = min(self._waiting, key=self._ahead)
                self.lost += self._ahead(first)
                self._gap, self._next = True, first
            packet, _ = self._waiting.pop(self._next)
            gap, self._gap = self._gap, False
            self._next = (self._next + 1) % _MODULUS
            yield packet, gap

    def _give_up(self, now_ns: int) -> bool:
        oldest_ns = min(came_ns for _, came_ns in self._waiting.values())
        return now_ns - oldest_ns >= self._hold_ns or len(self._waiting) > _MOST_WAITING

    def _ahead(self, sequence: int) -> int:
        return (sequence - (self._next or 0)) % _MODULUS

    def _is_far(self, sequence: int) -> bool:
        return _DROPOUT <= self._ahead(sequence) < _MODULUS - _DROPOUT

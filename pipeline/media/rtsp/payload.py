"""From packets to encoded pictures: H.264 (RFC 6184), H.265 (RFC 7798), MPEG-4 (RFC 6416)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.media.rtsp.description import Offer, parameter_sets
from pipeline.media.rtsp.packets import RtpPacket

_START_CODE = b"\x00\x00\x00\x01"
_LARGEST = 1 << 24
# FFmpeg reads on behind the last macroblock, and takes a picture with nothing there for damaged
# (ISO/IEC 14496-2, table 6-3: visual_object_sequence_end_code).
_SEQUENCE_END = b"\x00\x00\x01\xb1"


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture, as the decoder takes it.

    Attributes:
        data: H.264 and H.265 with start codes.
        timestamp: of its packets.
        incomplete: packets of it are missing, or may be.
        parameters: the sequence parameter sets that came with it; empty where there were none.
    """

    data: bytes
    timestamp: int
    incomplete: bool
    parameters: bytes = b""


class Assembler(ABC):
    """Puts together what belongs to one picture: all packets with one timestamp.

    A picture ends with the packet that has the marker, or, for cameras that set none, where the
    next timestamp begins. After a gap both pictures at it are incomplete: nobody knows which of
    them the missing packets belonged to.
    """

    codec: str
    #: What the decoder is told before the first picture.
    extradata: bytes = b""

    def __init__(self) -> None:
        self._data = bytearray()
        self._timestamp: int | None = None
        self._incomplete = False

    def push(self, packet: RtpPacket, gap: bool) -> Iterator[AccessUnit]:
        """Takes the next packet; gives the pictures that are complete with it.

        Args:
            packet: in order.
            gap: packets before it are missing.
        """
        self._incomplete |= gap
        if self._timestamp not in (None, packet.timestamp):
            yield from self._finish()
            self._incomplete |= gap
        self._timestamp = packet.timestamp
        if len(self._data) + len(packet.payload) > _LARGEST:
            self._data.clear()
            self._incomplete = True
        if packet.payload:
            self._add(packet.payload, gap)
        if packet.marker:
            yield from self._finish()

    def _finish(self) -> Iterator[AccessUnit]:
        data, timestamp = self._closed(), self._timestamp
        if data and timestamp is not None:
            yield AccessUnit(data, timestamp, self._incomplete, self._parameters())
            self._incomplete = False
        self._data.clear()
        self._timestamp = None

    @abstractmethod
    def _add(self, payload: bytes, gap: bool) -> None:
        """Appends what a packet carries to `_data`."""

    def _closed(self) -> bytes:
        """The whole picture."""
        return bytes(self._data)

    def _parameters(self) -> bytes:
        return b""


class Mpeg4(Assembler):
    """MPEG-4 part 2: packets carry the stream as it is."""

    codec = "mpeg4"

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        try:
            self.extradata = bytes.fromhex(offer.parameters.get("config", ""))
        except ValueError:
            self.extradata = b""

    def _add(self, payload: bytes, gap: bool) -> None:
        self._data += payload

    def _closed(self) -> bytes:
        return super()._closed() + _SEQUENCE_END if self._data else b""


class _NalUnits(Assembler):
    """What H.264 and H.265 have in common: NAL units, alone, several in a packet, or in parts."""

    _header: int  # bytes of a NAL unit's header
    _aggregate: int
    _fragment: int
    _parameter_set: int  # kind of a sequence parameter set

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self.extradata = b"".join(_START_CODE + unit for unit in parameter_sets(offer))
        self._open = False  # a unit that comes in parts is not at its end yet
        self._sets: set[bytes] = set()

    @staticmethod
    @abstractmethod
    def _kind(head: bytes) -> int:
        """The type of a NAL unit."""

    @abstractmethod
    def _restored(self, head: bytes, kind: int) -> bytes:
        """The header of the unit whose parts come with the header `head`."""

    def _add(self, payload: bytes, gap: bool) -> None:
        self._open &= not gap
        kind = self._kind(payload)
        if kind == self._fragment:
            self._add_part(payload)
        elif kind == self._aggregate:
            self._add_several(payload)
        elif kind < self._aggregate:
            self._add_unit(payload)

    def _add_unit(self, unit: bytes) -> None:
        self._open = False
        self._data += _START_CODE + unit
        if self._kind(unit) == self._parameter_set:
            self._sets.add(bytes(unit))

    def _add_several(self, payload: bytes) -> None:
        at = self._header
        while len(payload) >= at + 2:
            length = payload[at] << 8 | payload[at + 1]
            unit = payload[at + 2 : at + 2 + length]
            if length <= self._header or len(unit) < length:
                self._incomplete = True
                return
            self._add_unit(unit)
            at += 2 + length

    def _add_part(self, payload: bytes) -> None:
        if len(payload) <= self._header + 1:
            return
        head, info = payload[: self._header], payload[self._header]
        begins, ends = info & 0x80, info & 0x40
        if begins:
            self._data += _START_CODE + self._restored(head, info & 0x3F)
            self._open = True
        if self._open:
            self._data += payload[self._header + 1 :]
        else:
            self._incomplete = True  # its beginning is missing, and nobody can read it without
        self._open &= not ends

    def _parameters(self) -> bytes:
        sets = b"".join(sorted(self._sets))  # cameras repeat them
        self._sets.clear()
        return sets


class H264(_NalUnits):
    """NAL units of ITU-T H.264 (table 7-1), packetization modes 0 and 1 of RFC 6184."""

    codec = "h264"
    _header, _aggregate, _fragment, _parameter_set = 1, 24, 28, 7

    @staticmethod
    def _kind(head: bytes) -> int:
        return head[0] & 0x1F

    def _restored(self, head: bytes, kind: int) -> bytes:
        return bytes([head[0] & 0xE0 | kind & 0x1F])


class H265(_NalUnits):
    """NAL units of ITU-T H.265 (table 7-1), without decoding order numbers (RFC 7798, 4.4)."""

    codec = "hevc"
    _header, _aggregate, _fragment, _parameter_set = 2, 48, 49, 33

    @staticmethod
    def _kind(head: bytes) -> int:
        return head[0] >> 1 & 0x3F

    def _restored(self, head: bytes, kind: int) -> bytes:
        return bytes([head[0] & 0x81 | kind << 1, head[1]])

"""RTCP (RFC 3550, 6): what the camera's clock says, and that somebody listens."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pipeline.media.timeline import NS_PER_S

_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_FRACTIONS = 1 << 32
# From 1900, where NTP begins, to 1970.
_UNIX_S = 2_208_988_800
# A camera without a clock sends the seconds since it was switched on.
_EARLIEST_S = 631_152_000  # 1990-01-01 since 1970
_TICKS = 1 << 32


@dataclass(frozen=True, slots=True)
class SenderReport:
    """Which moment a timestamp was.

    Attributes:
        source: the stream it speaks of.
        utc_ns: nanoseconds since 1970, by the camera's clock.
        timestamp: the same moment in ticks of the stream, modulo 2^32.
    """

    source: int
    utc_ns: int
    timestamp: int


def read_reports(data: bytes) -> tuple[SenderReport | None, bool]:
    """The sender report in an RTCP packet, where there is one, and whether it says goodbye.

    A report whose clock was never set, before 1990, is passed over.
    """
    report, goodbye, at = None, False, 0
    while len(data) >= at + 4 and data[at] >> 6 == 2:
        kind, words = data[at + 1], data[at + 2] << 8 | data[at + 3]
        goodbye |= kind == _GOODBYE
        if kind == _SENDER_REPORT and len(data) >= at + 20:
            source, ntp, timestamp = struct.unpack_from(">IQI", data, at + 4)
            utc_ns = ntp * NS_PER_S // _FRACTIONS - _UNIX_S * NS_PER_S
            if utc_ns >= _EARLIEST_S * NS_PER_S:
                report = SenderReport(source, utc_ns, timestamp)
        at += 4 + 4 * words
    return report, goodbye


def receiver_report(own: int) -> bytes:
    """Says that somebody listens: an empty report with the name it must have (6.4.2, 6.5.1)."""
    name = b"sightline"
    item = struct.pack(">IBB", own, 1, len(name)) + name
    item += bytes(4 - len(item) % 4)
    head = struct.pack(">BBHI", 0x80, _RECEIVER_REPORT, 1, own)
    return head + struct.pack(">BBH", 0x81, _DESCRIPTION, len(item) // 4) + item


class RtpClock:
    """The clock of one stream: its 32-bit timestamps as nanoseconds that do not wrap.

    Args:
        hz: ticks a second.
    """

    def __init__(self, hz: int) -> None:
        self._hz = hz
        self._ticks: int | None = None
        self._report: tuple[int, int] | None = None  # ticks, and which UTC they are

    def ticks(self, timestamp: int) -> int:
        """A timestamp, counted on over 2^32: the nearest to the last one."""
        if self._ticks is None:
            self._ticks = timestamp
        step = (timestamp - self._ticks + _TICKS // 2) % _TICKS - _TICKS // 2
        self._ticks += step
        return self._ticks

    def ns(self, ticks: int) -> int:
        """Ticks as nanoseconds."""
        return ticks * NS_PER_S // self._hz

    def report(self, report: SenderReport) -> None:
        """Takes in what the camera says of its clock."""
        if self._ticks is not None:
            step = (report.timestamp - self._ticks + _TICKS // 2) % _TICKS - _TICKS // 2
            self._report = self._ticks + step, report.utc_ns

    def utc_ns(self, ticks: int) -> int | None:
        """When that was by the camera's clock; None where it has not said."""
        if self._report is None:
            return None
        reported, utc_ns = self._report
        return utc_ns + self.ns(ticks - reported)

"""The camera's clock."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.rtsp.reports import RtpClock, SenderReport, read_reports, receiver_report

NTP_UNIX_S = 2_208_988_800
S = 10**9


def sender_report(utc_s: float, timestamp: int = 0, source: int = 9) -> bytes:
    ntp = round((utc_s + NTP_UNIX_S) * 2**32)
    return struct.pack(">BBHIQIII", 0x80, 200, 6, source, ntp, timestamp, 1, 1)


def test_a_sender_report() -> None:
    report, goodbye = read_reports(sender_report(1_700_000_000.25, 4711))
    assert report == SenderReport(9, 1_700_000_000_250_000_000, 4711)
    assert not goodbye


def test_it_may_come_with_others() -> None:
    compound = receiver_report(1) + sender_report(1e9) + b"\x81\xcb\x00\x01\x00\x00\x00\x09"
    report, goodbye = read_reports(compound)
    assert report is not None
    assert report.utc_ns == 10**18
    assert goodbye


def test_a_clock_that_was_never_set_says_nothing() -> None:
    assert read_reports(sender_report(3600.0 - NTP_UNIX_S)) == (None, False)


@pytest.mark.parametrize("length", range(0, 28, 3))
def test_reports_that_are_cut(length: int) -> None:
    report, _ = read_reports(sender_report(1e9, 5)[:length])
    assert report is None or length >= 20


@given(st.binary(max_size=100))
def test_any_bytes(noise: bytes) -> None:
    read_reports(noise)


def test_our_report_is_whole_words() -> None:
    data = receiver_report(0x01020304)
    assert len(data) % 4 == 0
    assert data[:8] == bytes([0x80, 201, 0, 1, 1, 2, 3, 4])
    assert len(data) == 8 + 4 + 4 * (data[10] << 8 | data[11])
    assert b"\x01\x09sightline\x00" in data


def test_timestamps_do_not_wrap() -> None:
    clock = RtpClock(90_000)
    stamps = [2**32 - 180_000, 2**32 - 90_000, 0, 90_000, 0]
    ticks = [clock.ticks(stamp) for stamp in stamps]
    assert [clock.ns(tick - ticks[0]) // S for tick in ticks] == [0, 1, 2, 3, 2]


def test_utc_across_a_wrap() -> None:
    clock = RtpClock(90_000)
    before = clock.ticks(2**32 - 45_000)
    assert clock.utc_ns(before) is None
    clock.report(SenderReport(9, 1000 * S, 45_000))
    assert clock.utc_ns(before) == 999 * S
    assert clock.utc_ns(clock.ticks(90_000)) == 1000 * S + S // 2


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=20))
def test_ticks_are_the_timestamp_and_at_most_half_a_turn_away(stamps: list[int]) -> None:
    clock = RtpClock(90_000)
    last = clock.ticks(stamps[0])
    for stamp in stamps:
        ticks = clock.ticks(stamp)
        assert ticks % 2**32 == stamp
        assert abs(ticks - last) <= 2**31
        last = ticks

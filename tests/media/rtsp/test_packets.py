"""RTP packets, whole and broken, in and out of order."""

import struct
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.rtsp.packets import RtpPacket, Sequencer, parse

MS = 1_000_000


def packet(sequence: int, source: int = 1) -> RtpPacket:
    return RtpPacket(96, False, sequence % 65536, 0, source, b"x")


def data(first: int = 0x80, second: int = 96, rest: bytes = b"payload") -> bytes:
    return struct.pack(">BBHII", first, second, 7, 90, 5) + rest


@pytest.mark.parametrize(
    ("given_data", "payload"),
    [
        (data(), b"payload"),
        (data(0x81, rest=b"srcapayload"), b"payload"),
        (data(0x90, rest=b"\xab\xcd\x00\x01extnpayload"), b"payload"),
        (data(0xA0, rest=b"payload\x00\x00\x03"), b"payload"),
        (data(rest=b""), b""),
    ],
    ids=["plain", "with a contributor", "with an extension", "padded", "empty"],
)
def test_headers(given_data: bytes, payload: bytes) -> None:
    assert parse(given_data) == RtpPacket(96, False, 7, 90, 5, payload)


def test_the_marker_is_no_part_of_the_type() -> None:
    parsed = parse(data(second=0x80 | 26))
    assert parsed is not None
    assert (parsed.payload_type, parsed.marker) == (26, True)


@pytest.mark.parametrize(
    "broken",
    [b"", data()[:11], data(0x40), data(0x90, rest=b"ab"), data(0x8F), data(0xA0, rest=b"\xff")],
    ids=["nothing", "short", "version 1", "extension cut", "contributors cut", "padding too long"],
)
def test_what_is_no_packet(broken: bytes) -> None:
    assert parse(broken) is None


@given(st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_none(noise: bytes) -> None:
    parsed = parse(noise)
    assert parsed is None or len(parsed.payload) <= len(noise)


def ordered(sequencer: Sequencer, numbers: list[int], step_ms: int = 1) -> list[tuple[int, bool]]:
    times = count(0, step_ms)
    return [
        (each.sequence, gap)
        for number in numbers
        for each, gap in sequencer.push(packet(number), next(times) * MS)
    ]


@pytest.mark.parametrize(
    ("numbers", "expected", "lost"),
    [
        ([5, 6, 7], [(5, False), (6, False), (7, False)], 0),
        ([65534, 65535, 65536], [(65534, False), (65535, False), (0, False)], 0),
        ([5, 7, 6, 8], [(5, False), (6, False), (7, False), (8, False)], 0),
        ([5, 6, 6, 5, 7], [(5, False), (6, False), (7, False)], 0),
        ([5, *range(8, 30)], [(5, False), (8, True), *((n, False) for n in range(9, 30))], 2),
        ([5, 40005, 40006], [(5, False), (40005, True), (40006, False)], 0),
    ],
    ids=["in order", "wrapping", "overtaken", "twice", "missing", "begun anew"],
)
def test_order(numbers: list[int], expected: list[tuple[int, bool]], lost: int) -> None:
    sequencer = Sequencer(hold_ns=20 * MS)
    assert ordered(sequencer, numbers) == expected
    assert sequencer.lost == lost


def test_what_keeps_the_order_is_not_waited_for() -> None:
    assert ordered(Sequencer(), [1, 3]) == [(1, False), (3, True)]


def test_a_gap_is_given_up_in_time_without_another_packet() -> None:
    sequencer = Sequencer(hold_ns=50 * MS)
    assert ordered(sequencer, [1, 3]) == [(1, False)]
    assert list(sequencer.due(40 * MS)) == []
    assert [(p.sequence, gap) for p, gap in sequencer.due(60 * MS)] == [(3, True)]


def test_another_source_is_another_stream() -> None:
    sequencer = Sequencer(hold_ns=50 * MS)
    list(sequencer.push(packet(100), 0))
    assert [gap for _, gap in sequencer.push(packet(101, source=2), 0)] == [True]


@given(st.lists(st.integers(0, 65535), max_size=80))
def test_nothing_comes_twice_or_is_kept(numbers: list[int]) -> None:
    sequencer = Sequencer(hold_ns=10 * MS)
    given_out = ordered(sequencer, numbers)
    given_out += [(p.sequence, gap) for p, gap in sequencer.due(10**12)]
    assert len(given_out) <= len(numbers)
    assert not list(sequencer.due(10**12))

"""From packets to shots, without a network."""

from __future__ import annotations

import struct
from collections import Counter
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.media.connection import Shot
from pipeline.media.rtsp.description import Offer
from pipeline.media.rtsp.stream import Stream
from tests.rtsp.clip import spot

MS = 1_000_000
LARGEST = 1200


def stream(encoding: str, faults: Counter[str] | None = None, **parameters: str) -> Stream:
    offer = Offer("video", 96, encoding, parameters=parameters)
    return Stream(offer, ("software",), 1, 0, Counter() if faults is None else faults)


class Sender:
    """Sends payloads as one stream."""

    def __init__(self, to: Stream, source: int = 7) -> None:
        self.sequence, self._to, self._source = 100, to, source

    def send(self, payload: bytes, ticks: int, marker: bool = True) -> list[Shot]:
        kind = 96 | (0x80 if marker else 0)
        head = struct.pack(">BBHII", 0x80, kind, self.sequence, ticks % 2**32, self._source)
        self.sequence += 1
        return list(self._to.push(head + payload, ticks // 90 * MS))


def encoded(name: str, count: int = 20, **options: str) -> list[tuple[bytes, int]]:
    """Pictures in the order of decoding, with the time of each in 1/25 s."""
    context = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = 160, 120, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.gop_size, context.options = 10, options
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(spot(index, 160, 120), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += context.encode(frame)
    packets += context.encode(None)
    return [(bytes(packet), packet.pts or 0) for packet in packets]


def test_mpeg4() -> None:
    sender = Sender(stream("MP4V-ES"))
    shots = []
    for data, time in encoded("mpeg4", 40):
        parts = [data[i : i + LARGEST] for i in range(0, len(data), LARGEST)]
        for part in parts:
            shots += sender.send(part, time * 3600, part is parts[-1])
    assert len(shots) >= 39
    assert not any(shot.damaged for shot in shots)
    assert shots[0].coding.codec == "mpeg4"


def nals(data: bytes) -> list[bytes]:
    return [part.strip(b"\x00") for part in data.split(b"\x00\x00\x01") if part.strip(b"\x00")]


def test_pictures_that_are_sent_in_another_order_have_their_own_times() -> None:
    sender = Sender(stream("H264"))
    pictures = encoded("libx264", **{"x264-params": "bframes=2:threads=1"})
    assert [time for _, time in pictures] != sorted(time for _, time in pictures)
    shots = []
    for data, time in pictures:
        parts = nals(data)
        for part in parts:
            shots += sender.send(part, time * 3600, part is parts[-1])
    stamps = [shot.stamp_ns for shot in shots if shot.stamp_ns is not None]
    assert len(shots) >= 17
    assert np.diff(stamps).tolist() == [40 * MS] * (len(shots) - 1)


@pytest.mark.parametrize("repeats", [1, 2])
def test_parameter_sets_may_be_repeated_and_are_seen_to_change(repeats: int) -> None:
    """Some cameras send theirs twice with some pictures."""
    sender = Sender(stream("H264"))
    options = {"preset": "ultrafast", "tune": "zerolatency"}
    small = encoded("libx264", 20, **options, profile="baseline")
    other = encoded("libx264", 10, **options, level="5.1")
    changes = []
    for index, (data, _) in enumerate(small + other):
        parts = nals(data)
        sets = [part for part in parts if part[0] & 31 == 7]
        for part in [*sets * (repeats if index == 10 else 1), *parts]:
            changes += sender.send(part, index * 3600, part is parts[-1])
    assert [shot.changed for shot in changes].count("parameters_changed") == 1
    assert changes[20].changed == "parameters_changed"


def test_what_is_not_of_this_stream_is_passed_over() -> None:
    receiver = stream("H264")
    for data in (b"", b"\x80\x60", struct.pack(">BBHII", 0x80, 97, 1, 1, 1) + b"\x65abc"):
        assert list(receiver.push(data, 0)) == []
    assert receiver.packets == 0


def test_a_report_of_another_stream_says_nothing_and_a_goodbye_ends_it() -> None:
    receiver = stream("H264")
    sender = Sender(receiver)
    pictures = encoded("libx264", 4, preset="ultrafast", tune="zerolatency")

    def shown(index: int) -> Shot:
        parts = nals(pictures[index][0])
        (shot,) = [s for part in parts for s in sender.send(part, index * 3600, part is parts[-1])]
        return shot

    def report(source: int) -> bytes:
        return struct.pack(">BBHIQIII", 0x80, 200, 6, source, 3_900_000_000 << 32, 0, 1, 1)

    shown(0)
    receiver.report(report(source=8))
    assert shown(1).utc_ns is None
    receiver.report(report(source=7))
    assert shown(2).utc_ns == (3_900_000_000 - 2_208_988_800) * 1000 * MS + 80 * MS
    with pytest.raises(SourceError, match="goodbye"):
        receiver.report(b"\x81\xcb\x00\x01\x00\x00\x00\x07")

"""Packets to pictures, against the packets that the test camera makes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.rtsp.description import Offer
from pipeline.media.rtsp.jpeg import Jpeg
from pipeline.media.rtsp.packets import RtpPacket, parse
from pipeline.media.rtsp.payload import H264, H265, AccessUnit, Assembler, Mpeg4
from pipeline.media.rtsp.stream import ASSEMBLERS
from tests.rtsp.clip import Clip, Codec, encode
from tests.rtsp.rtp import RtpStream

MAKERS: dict[Codec, type[Assembler]] = {"h264": H264, "h265": H265, "mjpeg": Jpeg}
OFFER = Offer("video", 96)
CODECS = pytest.mark.parametrize("codec", MAKERS)


class Even:
    """Chance for a stream that begins at 0."""

    def getrandbits(self, bits: int) -> int:
        return 0


def packets_of(clip: Clip, *, markers: bool = True) -> list[RtpPacket]:
    stream = RtpStream(Even())  # type: ignore[arg-type]
    found = []
    for unit in clip.units:
        stream.advance(1 / clip.fps)
        found += [parse(data) for data in stream.packets(clip, unit, markers=markers)]
    return [packet for packet in found if packet is not None]


def assembled(
    codec: Codec, packets: Sequence[RtpPacket], gaps: Sequence[int] = ()
) -> list[AccessUnit]:
    maker = MAKERS[codec](OFFER)
    return [u for i, packet in enumerate(packets) for u in maker.push(packet, i in gaps)]


def small(codec: Codec) -> Clip:
    return encode(codec, width=640, height=480, count=12, gop=6)


@CODECS
@pytest.mark.parametrize("markers", [True, False])
def test_every_picture_comes_whole(codec: Codec, markers: bool) -> None:
    clip = small(codec)
    packets = packets_of(clip, markers=markers)
    assert len(packets) > len(clip.units)
    units = assembled(codec, packets)
    assert len(units) == len(clip.units) - (not markers)  # the last one ends with the next
    assert not any(unit.incomplete for unit in units)
    assert all(np.diff([unit.timestamp for unit in units]) == 3600)
    if codec != "mjpeg":
        for unit, source in zip(units, clip.units, strict=False):
            assert unit.data == b"".join(b"\x00\x00\x00\x01" + nal for nal in source.nals)
            assert bool(unit.parameters) == source.key


def test_a_jpeg_is_the_jpeg_it_was() -> None:
    clip = small("mjpeg")
    context = av.CodecContext.create("mjpeg", "r")
    for unit, source in zip(assembled("mjpeg", packets_of(clip)), clip.units, strict=True):
        (frame,) = context.decode(av.Packet(unit.data))
        (whole,) = context.decode(av.Packet(source.nals[0]))
        assert np.array_equal(frame.to_ndarray(), whole.to_ndarray())


@CODECS
@given(data=st.data())
def test_what_misses_a_packet_is_incomplete(codec: Codec, data: st.DataObject) -> None:
    packets = packets_of(small(codec))
    lost = data.draw(st.integers(1, len(packets) - 2))
    kept = packets[:lost] + packets[lost + 1 :]
    units = assembled(codec, kept, gaps=[lost])
    touched = {packets[lost].timestamp, packets[lost + 1].timestamp}
    if packets[lost].timestamp not in {unit.timestamp for unit in units}:
        touched.add(packets[lost].timestamp + 3600)  # nobody was told yet
    whole = {unit.timestamp: unit.data for unit in assembled(codec, packets)}
    for unit in units:
        assert unit.incomplete == (unit.timestamp in touched)
        assert unit.incomplete or unit.data == whole[unit.timestamp]
    assert len(units) >= len(whole) - 1


def payload(body: bytes, marker: bool = True, timestamp: int = 0) -> RtpPacket:
    return RtpPacket(96, marker, 0, timestamp, 1, body)


@pytest.mark.parametrize(
    ("maker", "body", "data"),
    [
        (H264, b"\x18\x00\x02\x67\x01\x00\x02\x68\x02", b"\x67\x01|\x68\x02"),
        (H265, b"\x60\x01\x00\x03\x42\x01\x07\x00\x03\x44\x01\x08", b"\x42\x01\x07|\x44\x01\x08"),
        (H264, b"\x18\x00\x02\x67\x01\x00\xff\x68\x02", b"\x67\x01"),
        (H264, b"\x1d\x00", b""),
        (H265, b"\x62\x01", b""),
        (H264, b"\x18\x00", b""),
    ],
    ids=["STAP-A", "AP", "cut STAP-A", "FU-B", "empty FU", "empty STAP-A"],
)
def test_several_units_in_a_packet(maker: type[Assembler], body: bytes, data: bytes) -> None:
    units = list(maker(OFFER).push(payload(body), False))
    expected = b"".join(b"\x00\x00\x00\x01" + part for part in data.split(b"|") if part)
    assert b"".join(unit.data for unit in units) == expected


def test_a_part_without_its_beginning_is_left_out() -> None:
    maker = H264(OFFER)
    assert list(maker.push(payload(b"\x7c\x05rest", marker=False), False)) == []
    (unit,) = maker.push(payload(b"\x41slice"), False)
    assert (unit.data, unit.incomplete) == (b"\x00\x00\x00\x01\x41slice", True)


def test_a_picture_without_end_is_bounded() -> None:
    maker = H264(OFFER)
    body = b"\x41" + bytes(1 << 20)
    for _ in range(40):
        assert list(maker.push(payload(body, marker=False), False)) == []
    (unit,) = maker.push(payload(b"\x41end"), False)
    assert unit.incomplete
    assert len(unit.data) <= (1 << 24) + 400


def test_mpeg4_is_as_it_comes_with_an_end() -> None:
    maker = Mpeg4(Offer("video", 96, parameters={"config": "000001b0"}))
    assert maker.extradata == b"\x00\x00\x01\xb0"
    assert list(maker.push(payload(b"ab", marker=False), False)) == []
    assert [unit.data for unit in maker.push(payload(b"cd"), False)] == [b"abcd\x00\x00\x01\xb1"]


@pytest.mark.parametrize("encoding", ASSEMBLERS)
@given(
    bodies=st.lists(st.tuples(st.binary(max_size=60), st.booleans(), st.booleans()), max_size=20)
)
def test_any_bytes_are_taken(encoding: str, bodies: list[tuple[bytes, bool, bool]]) -> None:
    maker = ASSEMBLERS[encoding](OFFER)
    for number, (body, marker, gap) in enumerate(bodies):
        for unit in maker.push(payload(body, marker, number // 3), gap):
            assert unit.data


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_tables_from_a_quality(quality: int) -> None:
    """The same tables as another encoder takes for that quality."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    header = struct.pack(">IBBBB", 0, 1, quality, 8, 8)
    (unit,) = Jpeg(OFFER).push(payload(header + b"scan"), False)

    def tables(data: bytes) -> list[bytes]:
        marked = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xdb"]
        return [data[i + 5 : i + 69] for i in marked[:2]]

    assert tables(unit.data) == tables(jpeg)


@pytest.mark.parametrize(
    ("kind", "sampling"), [(0, 0x21), (1, 0x22), (64, 0x21)], ids=["4:2:2", "4:2:0", "restarts"]
)
def test_kinds_of_jpeg(kind: int, sampling: int) -> None:
    header = struct.pack(">IBBBB", 0, kind, 50, 8, 4) + (b"\x00\x07\xff\xff" if kind & 64 else b"")
    (unit,) = Jpeg(OFFER).push(payload(header + b"scan"), False)
    frame = unit.data.index(b"\xff\xc0")
    assert struct.unpack_from(">HH", unit.data, frame + 5) == (32, 64)
    assert unit.data[frame + 11] == sampling
    assert (b"\xff\xdd\x00\x04\x00\x07" in unit.data) == bool(kind & 64)
    assert unit.data.endswith(b"scan\xff\xd9")


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">IBBBB", 0, 2, 50, 8, 8),
        struct.pack(">IBBBB", 0, 1, 50, 0, 8),
        struct.pack(">IBBBBBBH", 0, 1, 255, 8, 8, 0, 0, 0),
        struct.pack(">IBBBB", 700, 1, 50, 8, 8),
    ],
    ids=["unknown kind", "too wide to say", "no tables", "no beginning"],
)
def test_a_jpeg_that_cannot_be_read_is_none(header: bytes) -> None:
    assert list(Jpeg(OFFER).push(payload(header + b"scan"), False)) == []

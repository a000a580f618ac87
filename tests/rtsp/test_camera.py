"""The test camera itself: what it sends can be decoded, and its faults are real ones."""

from __future__ import annotations

import random
import re
import socket
import struct
from collections.abc import Iterator

import av
import pytest

from tests.rtsp.camera import Camera, Faults
from tests.rtsp.clip import Codec, encode
from tests.rtsp.login import Login, Scheme
from tests.rtsp.rtp import RtpStream

# Without looking at the pictures first for as long as FFmpeg would.
_QUICK = {"analyzeduration": "100000", "fpsprobesize": "1"}


@pytest.fixture
def camera() -> Iterator[Camera]:
    with Camera(login=None) as made:
        yield made


def connect(camera: Camera) -> socket.socket:
    return socket.create_connection((camera.host, camera.port), timeout=10)


def ask(client: socket.socket, method: str, camera: Camera, *headers: str) -> str:
    """Asks, and gives what the camera says."""
    lines = [f"{method} {camera.url} RTSP/1.0", "CSeq: 1", *headers, "", ""]
    client.sendall("\r\n".join(lines).encode())
    return reply(client)


def reply(client: socket.socket) -> str:
    """What the camera says; nothing of the packets behind it is read."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        text += client.recv(1)
    length = re.search(rb"Content-Length: (\d+)", text)
    assert length is not None
    return (text + client.recv(int(length[1]), socket.MSG_WAITALL)).decode()


def play(client: socket.socket, camera: Camera) -> None:
    """Has pictures sent over this connection."""
    assert "200 OK" in ask(client, "SETUP", camera, "Transport: RTP/AVP/TCP")
    assert "200 OK" in ask(client, "PLAY", camera)


def next_packet(client: socket.socket) -> tuple[int, bytes]:
    """Channel and bytes of the next packet."""
    channel, length = struct.unpack(">xBH", client.recv(4, socket.MSG_WAITALL))
    return channel, client.recv(length, socket.MSG_WAITALL)


@pytest.mark.parametrize(
    ("codec", "transport", "scheme"),
    [
        ("h264", "tcp", "digest"),
        ("h264", "udp", "basic"),
        ("h265", "tcp", "basic"),
        ("mjpeg", "udp", "digest"),
    ],
)
def test_its_pictures_can_be_decoded(codec: Codec, transport: str, scheme: Scheme) -> None:
    clip = encode(codec, 160, 96, fps=50, count=20, gop=10)
    with Camera(clip, login=Login(scheme=scheme)) as camera:
        options = {"rtsp_transport": transport, **_QUICK}
        with av.open(camera.url, options=options, timeout=10) as container:
            frames = container.decode(video=0)
            clean = [next(frames) for _ in range(25)][-10:]
        assert {(frame.width, frame.height) for frame in clean} == {(160, 96)}
        assert not any(frame.is_corrupt for frame in clean)
        brightest = [frame.to_ndarray(format="gray").max() for frame in clean]
        assert min(brightest) > 200  # the square is there, not only its ground
        assert camera.most_connections == camera.connections_ever == 1


def test_who_does_not_know_the_password_is_not_let_in() -> None:
    with Camera() as camera, connect(camera) as client:
        assert "401" in ask(client, "DESCRIBE", camera, "Authorization: Basic dmlld2VyOng=")
        with pytest.raises(av.error.HTTPUnauthorizedError):
            av.open(camera.url.replace("viewer", "somebody"), options=_QUICK, timeout=10)


def test_connections_are_counted_while_they_are_open(camera: Camera) -> None:
    with connect(camera) as one, connect(camera) as two:
        ask(one, "OPTIONS", camera)
        ask(two, "OPTIONS", camera)
        assert (camera.connections, camera.most_connections) == (2, 2)
    with connect(camera) as three:
        ask(three, "OPTIONS", camera)
        assert (camera.connections, camera.most_connections, camera.connections_ever) == (1, 2, 3)


def test_it_goes_away_and_comes_back_at_the_same_port(camera: Camera) -> None:
    with connect(camera) as client:
        ask(client, "OPTIONS", camera)
        camera.go_away()
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(camera)
    camera.come_back()
    with connect(camera) as client:
        assert "200 OK" in ask(client, "OPTIONS", camera)


def test_a_reset_is_a_reset(camera: Camera) -> None:
    with connect(camera) as client:
        ask(client, "OPTIONS", camera)
        camera.disconnect(reset=True)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_it_hangs_where_it_should(camera: Camera) -> None:
    camera.faults.hangs_at = "DESCRIBE"
    with connect(camera) as client:
        assert "200 OK" in ask(client, "OPTIONS", camera)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(client, "DESCRIBE", camera)
        camera.faults = Faults()
        client.settimeout(10)
        assert "H264/90000" in reply(client)


def test_more_clients_than_it_takes_are_told_so(camera: Camera) -> None:
    camera.faults.max_clients = 1
    with connect(camera) as one, connect(camera) as two:
        play(one, camera)
        next_packet(one)
        assert "453" in ask(two, "SETUP", camera, "Transport: RTP/AVP/TCP")


def test_a_stalled_camera_sends_nothing_and_stays_connected(camera: Camera) -> None:
    with connect(camera) as client:
        play(client, camera)
        next_packet(client)
        camera.faults.stalled = True
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):  # once what was on the way is read
            b"".join(iter(lambda: client.recv(65536), b""))
        assert camera.connections == 1


def test_a_frozen_camera_repeats_a_key_picture(camera: Camera) -> None:
    camera.faults.frozen = True
    with connect(camera) as client:
        play(client, camera)
        packets = [next_packet(client) for _ in range(40)]
    pictures: dict[int, bytes] = {}
    for channel, packet in packets:
        if channel == 0:
            (timestamp,) = struct.unpack_from(">I", packet, 4)
            pictures[timestamp] = pictures.get(timestamp, b"") + packet[12:]
    assert len(pictures) > 3
    assert len(set(list(pictures.values())[:-1])) == 1  # the last one may have been cut off


def test_a_stream_counts_and_tells_the_time() -> None:
    clip = encode("mjpeg", 160, 96, count=2)
    stream = RtpStream(random.Random(1))
    stream.wrap_in(0.5)
    assert stream.timestamp == (1 << 32) - 45_000
    stream.advance(1.0)
    assert stream.timestamp == 45_000
    first, second = (list(stream.packets(clip, unit)) for unit in clip.units)
    numbers = [struct.unpack_from(">H", packet, 2)[0] for packet in first + second]
    assert numbers == [(numbers[0] + i) % (1 << 16) for i in range(len(numbers))]
    assert [bool(packet[1] & 0x80) for packet in first] == [False] * (len(first) - 1) + [True]
    fields = struct.unpack(">BBHIIIIII", stream.sender_report(1_000_000_000.25))
    assert fields[:3] == (0x80, 200, 6)
    assert fields[4:7] == (3_208_988_800, 1 << 30, 45_000)
    assert fields[7:] == (len(numbers), sum(len(packet) - 12 for packet in first + second))

"""Connections to the test camera, and to hosts that are none."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest

from pipeline.clock import SystemClock
from pipeline.errors import SourceError
from pipeline.media.connection import Shot
from pipeline.media.rtsp.address import RtspAddress
from pipeline.media.rtsp.client import RtspOptions, rtsp
from tests.rtsp.camera import Camera, Faults, Moment
from tests.rtsp.clip import Clip, Codec, encode
from tests.rtsp.login import PASSWORD, Login, Scheme

Shots = Generator[Shot | None, None, None]


def connection(uri: str, faults: Counter[str] | None = None, **options: object) -> Shots:
    how = replace(RtspOptions(), **options)
    counted = Counter() if faults is None else faults
    return rtsp(RtspAddress.parse(uri), how, SystemClock())(counted)


def taken(shots: Shots, count: int) -> list[Shot]:
    found: list[Shot] = []
    for shot in shots:
        found += [shot] if shot else []
        if len(found) == count:
            return found
    raise AssertionError("the connection ended")


def ended(shots: Shots) -> str:
    """Why a connection ends."""
    with pytest.raises(SourceError) as caught:
        for _ in shots:
            pass
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__}"
    return str(caught.value)


def prints(clip: Clip) -> set[bytes]:
    """The pictures of a clip, decoded."""
    name = {"h264": "h264", "h265": "hevc", "mjpeg": "mjpeg"}[clip.codec]
    context = av.CodecContext.create(name, "r")
    frames = []
    for unit in clip.units:
        mark = b"" if clip.codec == "mjpeg" else b"\x00\x00\x00\x01"
        frames += context.decode(av.Packet(b"".join(mark + nal for nal in unit.nals)))
    frames += context.decode(None)
    return {frame.to_ndarray()[: clip.height].tobytes() for frame in frames}


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_picture_comes_as_it_was_sent(codec: Codec, transport: str) -> None:
    clip = encode(codec, count=50, fps=50, gop=10)
    faults: Counter[str] = Counter()
    with (
        Camera(clip) as camera,
        closing(connection(camera.url, faults, transport=transport)) as shots,
    ):
        found = taken(shots, 40)
        assert camera.most_connections == 1
    whole = prints(clip)
    clean = [shot for shot in found if not shot.damaged]
    assert len(clean) >= 30
    assert all(np.ascontiguousarray(shot.picture.gray()).tobytes() in whole for shot in clean)
    assert not any(shot.damaged for shot in found[10:])
    stamps = np.diff([shot.stamp_ns for shot in found if shot.stamp_ns is not None])
    assert (abs(stamps - 20_000_000) < 2).all()
    assert not faults


def test_no_picture_is_held_back() -> None:
    """What arrives is shown before the next one comes, a twentieth of a second later."""
    clip = encode("h264", count=30, fps=20, gop=5)
    with Camera(clip) as camera, closing(connection(camera.url)) as shots:
        for shot in taken(shots, 8):
            assert shot.arrived_ns / 1e9 - camera.last_packet_s < 0.04


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_who_may_see_it(scheme: Scheme) -> None:
    login = Login(scheme=scheme)
    with Camera(login=login) as camera:
        with closing(connection(camera.url)) as shots:
            assert taken(shots, 1)
        camera.login = Login(password="other", scheme=scheme)
        uri = f"rtsp://viewer:{PASSWORD}@127.0.0.1:{camera.port}/cam"
        reason = ended(connection(uri))
    assert reason.startswith(f"rtsp://***@127.0.0.1:{camera.port}/cam: the camera answers 401 ")
    assert "user or password is wrong" in reason


@pytest.mark.parametrize("moment", get_args(Moment)[1:])
def test_a_camera_that_hangs_is_left_at_any_moment(moment: Moment) -> None:
    with Camera() as camera:
        camera.faults.hangs_at = moment
        shots = connection(camera.url, open_timeout_s=0.4)
        began_s = time.monotonic()
        reason = ended(shots)
        waited_s = time.monotonic() - began_s
        shots = connection(camera.url)
        for _, shot in zip(range(4), shots, strict=False):
            assert shot is None
        began_s = time.monotonic()
        shots.close()
        closed_s = time.monotonic() - began_s
        assert camera.most_connections == 1
    assert "no answer in time" in reason
    assert waited_s < 1.5
    assert closed_s < 0.4


def test_silence_ends_the_connection() -> None:
    with Camera() as camera:
        shots = connection(camera.url, read_timeout_s=0.5)
        taken(shots, 2)
        camera.faults.stalled = True
        assert "silent for 0." in ended(shots)
        assert camera.connections == 0


def test_what_ends_it() -> None:
    with Camera() as camera:
        for reset, reason in ((False, "the camera closed the connection"), (True, "reset by peer")):
            shots = connection(camera.url)
            taken(shots, 1)
            camera.disconnect(reset=reset)
            assert reason in ended(shots)
        camera.faults.max_clients = 0
        assert "453" in ended(connection(camera.url))
        camera.go_away()
        assert "connection refused" in ended(connection(camera.url))


def test_the_camera_has_seen_the_end_when_it_is_closed() -> None:
    with Camera() as camera:
        for _ in range(5):
            shots = connection(camera.url)
            taken(shots, 1)
            shots.close()
            assert camera.connections == 0


@pytest.mark.parametrize("hours", [-5, 0, 100])
def test_utc_is_that_of_the_camera(hours: int) -> None:
    clip = encode("h264", count=50, fps=50, gop=10)
    with (
        Camera(clip, wall_clock=lambda: time.time() + 3600 * hours, report_every_s=0.2) as camera,
        closing(connection(camera.url)) as shots,
    ):
        found = taken(shots, 30)
    assert found[0].utc_ns is None
    told = [shot for shot in found if shot.utc_ns is not None]
    assert len(told) > 10
    ago_s = [time.monotonic() - shot.arrived_ns / 1e9 for shot in told]
    for shot, ago in zip(told, ago_s, strict=True):
        assert shot.utc_ns / 1e9 - 3600 * hours == pytest.approx(time.time() - ago, abs=0.2)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_what_is_lost_is_known(transport: str) -> None:
    clip = encode("h264", count=50, fps=50, gop=10)
    faults: Counter[str] = Counter()
    with (
        Camera(clip) as camera,
        closing(connection(camera.url, faults, transport=transport)) as shots,
    ):
        taken(shots, 12)
        camera.faults = Faults(loss=0.2)
        lossy = taken(shots, 35)
        camera.faults = Faults()
        healed = taken(shots, 25)
        assert faults["packets_lost"] == pytest.approx(camera.lost_packets, abs=2)
    whole = prints(clip)
    for shot in lossy + healed:
        assert shot.damaged or np.ascontiguousarray(shot.picture.gray()).tobytes() in whole
    assert sum(bool(shot.damaged) for shot in lossy) > 10
    assert not any(shot.damaged for shot in healed[15:])


Talk = Callable[[socket.socket, list[bytes]], None]


@contextmanager
def host(talk: Talk) -> Iterator[tuple[int, list[bytes]]]:
    """Somebody who listens and says what a test wants; also what was said to it."""
    heard: list[bytes] = []

    def serve() -> None:
        with suppress(OSError), server.accept()[0] as connected:
            connected.settimeout(5)
            talk(connected, heard)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
    thread.join(5)


def answering(*answers: bytes) -> Talk:
    def talk(connected: socket.socket, heard: list[bytes]) -> None:
        for number, answer in enumerate(answers, 1):
            heard.append(connected.recv(1 << 16))
            head = b"RTSP/1.0 %b\r\nCSeq: %d\r\n" % (answer.partition(b"\n")[0], number)
            connected.sendall(head + answer.partition(b"\n")[2])
        connected.recv(4096)

    return talk


def described(sdp: str) -> bytes:
    return f"200 OK\nContent-Length: {len(sdp.encode())}\r\n\r\n{sdp}".encode()


OK = b"200 OK\n\r\n"
STRANGE = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 THEORA/90000\r\n"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([OK, b"302 Moved\nLocation: rtsp://me:hush@evil/x\r\n\r\n"],
         "sends us to rtsp://***@evil/x, which is not followed"),
        ([OK, b"404 Not Found\n\r\n"], "404 Not Found to DESCRIBE: there is no such stream"),
        ([OK, described(STRANGE)], "offers 'THEORA', which is not accepted from the network"),
        ([OK, described("m=audio 0 RTP/AVP 0\r\n")], "offers no video"),
        ([OK, described("\x00garbage")], "offers no video"),
        ([b"200 OK\nContent-Length: 99999999\r\n\r\n"], "this is not RTSP"),
    ],
    ids=["redirected", "no stream", "strange codec", "no video", "garbage", "endless"],
)  # fmt: skip
def test_what_cameras_say(answers: list[bytes], says: str) -> None:
    with host(answering(*answers)) as (port, _):
        reason = ended(connection(f"rtsp://me:{PASSWORD}@127.0.0.1:{port}/1"))
    assert says in reason
    assert "hush" not in reason


NASTY = ("999-1000", "1-70000", "0-" + "9" * 5000, "-1", "\u0663-\u0664", "0")


@pytest.mark.parametrize("numbers", NASTY)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_numbers_that_make_no_sense(numbers: str, transport: str) -> None:
    sdp = f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/{numbers}\r\na=control:/[{numbers}\r\n"
    agreed = (
        f"200 OK\nSession: {numbers};timeout={numbers}\r\n"
        f"Transport: x;interleaved={numbers};server_port={numbers}\r\n\r\n"
    )
    talk = answering(OK, described(sdp), agreed.encode(), OK)
    with host(talk) as (port, heard):
        assert "silent for" in ended(
            connection(f"rtsp://127.0.0.1:{port}/1", transport=transport, read_timeout_s=0.2)
        )
    assert heard[3].startswith(b"PLAY ")


def test_a_description_cannot_send_us_elsewhere() -> None:
    """The address of a stream is asked for over the same connection, whatever host it names."""
    sdp = (
        "c=IN IP4 10.1.2.3\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        "a=control:rtsp://10.1.2.3/x\r\n"
    )
    with host(answering(OK, described(sdp), b"461 Unsupported Transport\n\r\n")) as (port, heard):
        assert "461" in ended(connection(f"rtsp://127.0.0.1:{port}/1"))
    assert heard[2].startswith(b"SETUP rtsp://10.1.2.3/x ")


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 5000, b"", b"220 smtp ready\r\n\r\n"]
)
def test_a_host_that_is_no_camera(noise: bytes) -> None:
    def talk(connected: socket.socket, heard: list[bytes]) -> None:
        connected.recv(4096)
        connected.sendall(noise)

    with host(talk) as (port, _):
        reason = ended(connection(f"rtsp://127.0.0.1:{port}/1"))
    assert "not RTSP" in reason or "closed the connection" in reason or "reset" in reason


def test_a_host_that_does_not_answer_is_given_up_soon() -> None:
    """Its queue is full, so that the system leaves our packets unanswered, as a dead host does."""
    with socket.socket() as server, socket.socket() as first:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        first.connect(server.getsockname())
        shots = connection(f"rtsp://127.0.0.1:{server.getsockname()[1]}/1")
        began_s = time.monotonic()
        assert "no answer in time" in ended(shots)
        assert time.monotonic() - began_s < 2.0


def test_encrypted(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with Camera() as camera:

        def talk(connected: socket.socket, heard: list[bytes]) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            with (
                context.wrap_socket(connected, server_side=True) as secure,
                socket.create_connection(("127.0.0.1", camera.port)) as plain,
            ):
                relay(secure, plain)

        with host(talk) as (port, _):
            uri = f"rtsps://viewer:{PASSWORD}@127.0.0.1:{port}/cam"
            with closing(connection(uri)) as shots:
                assert len(taken(shots, 10)) == 10


def relay(secure: ssl.SSLSocket, plain: socket.socket) -> None:
    """Hands on what comes, both ways, until either ends.

    In one thread: an encrypted connection may not be read and written at the same time.
    """
    other: dict[socket.socket, socket.socket] = {secure: plain, plain: secure}
    while True:
        ready = [secure] if secure.pending() else select.select(list(other), [], [], 5)[0]
        for each in ready:
            data = each.recv(65536)
            if not data:
                return
            other[each].sendall(data)


def self_signed(folder: Path) -> Path:
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    import datetime

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "camera.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    "uri", ["rtsp://me:pa/ss@cam/1", "rtsp://cam:port/1", "rtsp:///1", "rtsp://me:hush@:554/1"]
)
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(SourceError, match="this is no address") as caught:
        RtspAddress.parse(uri)
    assert "pa/ss" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_address_is_taken_apart() -> None:
    address = RtspAddress.parse("rtsp://m%40e:p%3Aa%2Fss@[fe80::1]:8554/live?channel=1&token=t0p")
    assert (address.host, address.port, address.tls) == ("fe80::1", 8554, False)
    assert (address.user, address.password) == ("m@e", "p:a/ss")
    assert address.url == "rtsp://[fe80::1]:8554/live?channel=1&token=t0p"
    assert RtspAddress.parse("rtsps://cam/1").port == 322
    assert "t0p" not in f"{address!r} {address.name}"
    assert "p:a/ss" not in repr(address)


def test_nothing_is_written_where_others_read(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Loss and damage make FFmpeg talk."""
    caplog.set_level(logging.DEBUG)
    with (
        Camera(encode("h264", count=50, fps=50, gop=10)) as camera,
        closing(connection(camera.url)) as shots,
    ):
        taken(shots, 5)
        camera.faults = Faults(loss=0.1, corruption=0.3)
        taken(shots, 25)
    printed = capfd.readouterr()
    assert PASSWORD not in caplog.text + printed.out + printed.err

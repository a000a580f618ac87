"""One client of a test camera: what it asks (RTSP 1.0, RFC 2326) and how packets come to it."""

from __future__ import annotations

import base64
import re
import secrets
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from tests.rtsp.rtp import CLOCK_HZ, PAYLOAD_TYPES

if TYPE_CHECKING:
    from tests.rtsp.camera import Camera

_ESTABLISHED = 1  # the first byte of Linux's tcp_info
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
_ENCODINGS = {"h264": "H264", "h265": "H265", "mjpeg": "JPEG"}
_H265_SETS = ("sprop-vps", "sprop-sps", "sprop-pps")
# A client that reads nothing for so long is let go, so that it does not hold up the others.
_PATIENCE_S = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks."""

    method: str
    uri: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What it is told."""

    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class Session:
    """Serves one connection in a thread of its own, until either side ends it.

    Attributes:
        playing: whether it is to be sent packets.
    """

    def __init__(self, camera: Camera, connection: socket.socket) -> None:
        self.playing = False
        self._camera = camera
        self._connection = connection
        self._nonce, self._id = secrets.token_hex(8), secrets.token_hex(4)
        self._sending = threading.Lock()
        self._udp: list[tuple[socket.socket, tuple[str, int]]] = []
        timeout = struct.pack("ll", _PATIENCE_S, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self._thread = threading.Thread(target=self._serve, name="rtsp-session", daemon=True)

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether neither side has closed the connection."""
        try:
            info = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        except OSError:
            return False
        return info[0] == _ESTABLISHED

    def send(self, packet: bytes, *, report: bool = False) -> None:
        """Sends an RTP packet, or a report, the way that the client asked for."""
        try:
            if self._udp:
                way, address = self._udp[report]
                way.sendto(packet, address)
            else:
                self._write(b"$" + struct.pack(">BH", report, len(packet)) + packet)
        except OSError:
            self.end()

    def end(self, *, reset: bool = False) -> None:
        """Closes the connection with a FIN, or with a RST as a camera does whose power fails."""
        self.playing = False
        with suppress(OSError):
            if reset:
                linger = struct.pack("ii", 1, 0)
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # Wakes the thread, which closes; with no time to linger, that is a RST.
            self._connection.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)

    def join(self) -> None:
        """Waits until it is closed."""
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        try:
            with self._connection, self._connection.makefile("rb") as stream:
                self._camera.hang_at("accept")
                while request := _next_request(stream):
                    self._camera.hang_at(request.method)
                    self._reply(request, self._answer(request))
                    self.playing |= request.method == "PLAY"
        except (OSError, ValueError, KeyError):
            pass  # the client is gone, or talks nonsense
        finally:
            self.playing = False
            for way, _ in self._udp:
                way.close()
            self._camera.forget(self)

    def _answer(self, request: Request) -> Reply:
        login = self._camera.login
        if login is not None and request.method != "OPTIONS":
            given = request.headers.get("authorization", "")
            if not login.admits(request.method, given, self._nonce):
                challenge = login.challenge(self._nonce)
                return Reply("401 Unauthorized", {"WWW-Authenticate": challenge})
        if request.method == "DESCRIBE":
            kind = {"Content-Base": f"{request.uri}/", "Content-Type": "application/sdp"}
            return Reply(headers=kind, body=self._description())
        if request.method == "SETUP":
            return self._set_up(request.headers["transport"])
        if request.method == "PLAY":
            stream = self._camera.stream
            info = f"url={request.uri}/video;seq={stream.sequence};rtptime={stream.timestamp}"
            return Reply(headers={"RTP-Info": info, "Range": "npt=now-"})
        self.playing &= request.method != "TEARDOWN"
        return Reply(headers={"Public": _METHODS})

    def _set_up(self, transport: str) -> Reply:
        if self._camera.full:
            return Reply("453 Not Enough Bandwidth")
        if "TCP" in transport:
            return Reply(headers={"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"})
        found = re.search(r"client_port=(\d+)", transport)
        if found is None:
            return Reply("461 Unsupported Transport")
        first, host = int(found[1]), self._connection.getpeername()[0]
        for port in (first, first + 1):
            way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            way.bind((self._camera.host, 0))
            self._udp.append((way, (host, port)))
        own = "-".join(str(way.getsockname()[1]) for way, _ in self._udp)
        ports = f"client_port={first}-{first + 1};server_port={own}"
        return Reply(headers={"Transport": f"RTP/AVP;unicast;{ports}"})

    def _description(self) -> str:
        """What there is to see: SDP, RFC 4566."""
        clip, host = self._camera.clip, self._camera.host
        kind = PAYLOAD_TYPES[clip.codec]
        sets = [base64.b64encode(nal).decode() for nal in clip.parameter_sets]
        lines = [
            "v=0", f"o=- 0 0 IN IP4 {host}", "s=test camera", "t=0 0", f"m=video 0 RTP/AVP {kind}",
            f"a=rtpmap:{kind} {_ENCODINGS[clip.codec]}/{CLOCK_HZ}", "a=control:video",
        ]  # fmt: skip
        if clip.codec == "h264":
            sprop = ",".join(sets)
            lines.append(f"a=fmtp:{kind} packetization-mode=1;sprop-parameter-sets={sprop}")
        elif clip.codec == "h265":
            sprop = ";".join(f"{name}={text}" for name, text in zip(_H265_SETS, sets, strict=True))
            lines.append(f"a=fmtp:{kind} {sprop}")
        return "".join(f"{line}\r\n" for line in lines)

    def _reply(self, request: Request, reply: Reply) -> None:
        own = {"CSeq": request.headers.get("cseq", "0"), "Session": f"{self._id};timeout=60"}
        body = reply.body.encode()
        headers = own | reply.headers | {"Content-Length": str(len(body))}
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._write(f"RTSP/1.0 {reply.status}\r\n{text}\r\n".encode() + body)

    def _write(self, data: bytes) -> None:
        with self._sending:
            self._connection.sendall(self._camera.said(data))


def _next_request(stream: IO[bytes]) -> Request | None:
    """The next request; None where the client closed. Its own reports are passed over.

    Raises:
        ValueError: it is no request.
    """
    while (first := stream.read(1)) == b"$":
        (length,) = struct.unpack(">xH", stream.read(3))
        stream.read(length)
    if not first:
        return None
    method, uri, _ = (first + stream.readline()).decode().split()
    headers = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    stream.read(int(headers.get("content-length", 0)))
    return Request(method, uri, headers)

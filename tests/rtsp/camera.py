"""A network camera on loopback with faults on demand, in plain Python.

    with Camera(encode("h264")) as camera:
        ...                                # something reads camera.url
        camera.faults.stalled = True       # open, but silent
        camera.faults = Faults()           # well again
        camera.go_away()                   # its port is closed
        camera.come_back()
        assert camera.most_connections == 1

Everything may be called from any thread. The camera sends at its own pace whether or not anybody
reads, and a client that comes starts where the camera is: in the middle of a group of pictures.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tests.rtsp.clip import Clip, encode
from tests.rtsp.login import Login
from tests.rtsp.rtp import RtpStream
from tests.rtsp.session import Session

#: Of a connection, in the order they come; "": none of them.
Moment = Literal["", "accept", "OPTIONS", "DESCRIBE", "SETUP", "PLAY"]

_HEADER_BYTES = 12
_VIEWER = Login()


@dataclass(slots=True)
class Faults:
    """What is wrong with a camera now; assigning a fresh one makes it well.

    Attributes:
        loss: share of the RTP packets that are not sent, 0..1.
        corruption: share of the RTP packets in whose payload three bits are wrong, 0..1.
        stalled: nothing is sent, not even reports; the connection stays open.
        frozen: the last key picture is sent again and again.
        clock_stopped: every picture has the same timestamp.
        no_markers: no packet says that it is a picture's last.
        no_reports: no RTCP.
        speed: so many times as many pictures a second as it should send.
        hangs_at: where it gives no answer any more; "accept": it connects and is silent.
        nonsense: share of its answers and interleaved packets that are random bytes, 0..1.
        slams: closes every connection as soon as it is there.
        max_clients: more are told that there is no bandwidth.
    """

    loss: float = 0.0
    corruption: float = 0.0
    stalled: bool = False
    frozen: bool = False
    clock_stopped: bool = False
    no_markers: bool = False
    no_reports: bool = False
    speed: float = 1.0
    hangs_at: Moment = ""
    nonsense: float = 0.0
    slams: bool = False
    max_clients: int = 99


class Camera:
    """Serves a clip in a loop at ``rtsp://host:port/cam``, over TCP and UDP.

    Args:
        clip: what it sees; by default a bright square that goes round, 320x240, 25 fps, H.264.
        port: to listen at; 0: a free one, which it keeps.
        host: address to listen at.
        login: who may see it; None: everybody.
        wall_clock: seconds since 1970, for its reports.
        report_every_s: pause between two reports.
        seed: of its chances (losses, damages, first timestamp).

    Attributes:
        faults: what is wrong with it now.
        login: as given; may be changed, as when somebody changes the password.
        stream: its RTP numbers and clock.
        accepted_s: `time.monotonic` of each TCP connection that it accepted.
        most_connections: most that were there at once.
        last_packet_s: `time.monotonic` when it last sent a packet to somebody.
        pictures: how many it has sent to somebody.
        lost_packets: packets that were left out as `Faults.loss` says.
        corrupted_packets: packets that were damaged as `Faults.corruption` says.
    """

    def __init__(
        self,
        clip: Clip | None = None,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        login: Login | None = _VIEWER,
        wall_clock: Callable[[], float] = time.time,
        report_every_s: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.clip = clip or encode()
        self.host, self.login = host, login
        self.faults = Faults()
        self.accepted_s: list[float] = []
        self.most_connections = self.pictures = 0
        self.lost_packets = self.corrupted_packets = 0
        self.last_packet_s = 0.0
        self._wall_clock, self._report_every_s = wall_clock, report_every_s
        self._chance = random.Random(seed)
        self.stream = RtpStream(self._chance)
        self._position = self._chance.randrange(len(self.clip.units))
        self._reported_s = 0.0
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._closed = threading.Event()
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._sender = threading.Thread(target=self._send_for_ever, name="rtsp-sender", daemon=True)
        self._sender.start()
        self.come_back()

    @property
    def url(self) -> str:
        """With user and password."""
        user = f"{self.login.user}:{self.login.password}@" if self.login else ""
        return f"rtsp://{user}{self.host}:{self.port}/cam"

    @property
    def connections(self) -> int:
        """TCP connections that neither side has closed."""
        with self._lock:
            return sum(session.connected for session in self._sessions)

    @property
    def connections_ever(self) -> int:
        """TCP connections that it accepted so far."""
        return len(self.accepted_s)

    @property
    def full(self) -> bool:
        """Whether as many clients are playing as may."""
        with self._lock:
            return sum(session.playing for session in self._sessions) >= self.faults.max_clients

    def jump(self, seconds: float) -> None:
        """Moves the clock of its timestamps, but not that of its reports."""
        self.stream.advance(seconds)

    def wrap_in(self, seconds: float) -> None:
        """Has its timestamps pass 2^32 so soon, which is a jump by itself: call it unwatched."""
        self.stream.wrap_in(seconds)

    def change(self, clip: Clip) -> None:
        """Sends another clip from now on.

        Parameter sets go in band; another codec cannot, so that then everybody is disconnected.
        """
        other = clip.codec != self.clip.codec
        with self._lock:
            self.clip, self._position = clip, 0
        if other:
            self.disconnect()

    def disconnect(self, *, reset: bool = False) -> None:
        """Closes every connection, with FIN or RST; new ones are welcome."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.end(reset=reset)

    def go_away(self, *, reset: bool = False) -> None:
        """Closes every connection, and refuses new ones."""
        self._stop_accepting()
        self._socket = _bound(self.host, self.port)  # so that nobody else takes the port
        self.disconnect(reset=reset)

    def come_back(self) -> None:
        """Accepts connections again."""
        self._socket.listen()
        self._acceptor = threading.Thread(target=self._accept, name="rtsp-acceptor", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Ends everything."""
        self._closed.set()
        self._stop_accepting()
        self.disconnect()
        self._sender.join(timeout=10)
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def hang_at(self, moment: str) -> None:
        """Waits while the camera hangs there; for its sessions."""
        while self.faults.hangs_at == moment and not self._closed.is_set():
            time.sleep(0.01)

    def said(self, data: bytes) -> bytes:
        """What it says in place of this; for its sessions."""
        share = self.faults.nonsense
        if not share or self._chance.random() >= share:
            return data
        return self._chance.randbytes(len(data))

    def forget(self, session: Session) -> None:
        """The session is over; for its sessions."""
        with self._lock:
            self._sessions.remove(session)

    def _stop_accepting(self) -> None:
        with suppress(OSError):  # it may have gone away already
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._acceptor.join(timeout=10)
        self._socket.close()

    def _accept(self) -> None:
        listener = self._socket
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # gone away
            session = Session(self, connection)
            with self._lock:
                self._sessions.append(session)
                self.accepted_s.append(time.monotonic())
                now = sum(session.connected for session in self._sessions)
                self.most_connections = max(self.most_connections, now)
            session.start()
            if self.faults.slams:
                session.end()

    def _send_for_ever(self) -> None:
        due_s = time.monotonic()
        while not self._closed.is_set():
            faults = self.faults
            interval_s = 1 / (self.clip.fps * faults.speed)
            self._send_picture(faults, interval_s)
            due_s = max(due_s + interval_s, time.monotonic() - 1)  # it does not catch up for ever
            self._closed.wait(max(0.0, due_s - time.monotonic()))

    def _send_picture(self, faults: Faults, interval_s: float) -> None:
        with self._lock:
            clip = self.clip
            self._position = (
                clip.key_before(self._position)
                if faults.frozen
                else (self._position + 1) % len(clip.units)
            )
            unit = clip.units[self._position]
            viewers = [session for session in self._sessions if session.playing]
        if not faults.clock_stopped:
            self.stream.advance(interval_s)
        if faults.stalled:
            return
        for packet in self.stream.packets(clip, unit, markers=not faults.no_markers):
            sent = self._on_the_way(packet, faults)
            for viewer in viewers if sent else ():
                viewer.send(sent)
        self._report(viewers, faults)
        if viewers:
            self.pictures += 1
            self.last_packet_s = time.monotonic()

    def _on_the_way(self, packet: bytes, faults: Faults) -> bytes:
        """What becomes of a packet; empty where it is lost."""
        if self._chance.random() < faults.loss:
            self.lost_packets += 1
            return b""
        if self._chance.random() >= faults.corruption:
            return packet
        self.corrupted_packets += 1
        damaged = bytearray(packet)
        for _ in range(3):
            damaged[self._chance.randrange(_HEADER_BYTES, len(damaged))] ^= self._chance.choice(
                (1, 2, 4, 8, 16, 32, 64, 128)
            )
        return bytes(damaged)

    def _report(self, viewers: list[Session], faults: Faults) -> None:
        now_s = time.monotonic()
        if faults.no_reports or not viewers or now_s - self._reported_s < self._report_every_s:
            return
        self._reported_s = now_s
        report = self.stream.sender_report(self._wall_clock())
        for viewer in viewers:
            viewer.send(report, report=True)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has its port, and does not listen yet: who connects is refused."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    return made

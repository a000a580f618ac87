"""One connection to a network camera: asks for its video, listens, says goodbye."""

from __future__ import annotations

import re
import secrets
import select
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.clock import Clock
from pipeline.errors import SourceError
from pipeline.media.connection import TICK_S, Connect, Shot
from pipeline.media.decoders import SOFTWARE
from pipeline.media.rtsp.address import RtspAddress
from pipeline.media.rtsp.datagrams import Datagrams
from pipeline.media.rtsp.description import Offer, control_of_all, control_url, offers
from pipeline.media.rtsp.login import Login
from pipeline.media.rtsp.message import Answer, Splitter, request
from pipeline.media.rtsp.reports import receiver_report
from pipeline.media.rtsp.stream import ASSEMBLERS, Stream
from pipeline.media.rtsp.wire import Wire
from pipeline.media.timeline import NS_PER_S
from pipeline.media.uri import redact

_RTP, _RTCP = 0, 1
# A host that is switched off answers nothing; once it is back, the next attempt must not be far.
_CONNECT_S = 1.5
# UDP packets that were overtaken come within so long; every gap waits for it.
_HOLD_S = 0.05
# The longest group of pictures that is waited for before the camera is asked anew.
_UNDECODABLE_S = 15.0
_REPORT_S = 5.0
_EMPTY_PACKET = b"\x80" + bytes(11)
_REMEDY = "check address, user, password"
_REMEDIES = {
    401: "user or password is wrong",
    403: "this user may not see it",
    404: "there is no such stream; check the path",
    453: "it has no bandwidth or no free place for one more viewer",
    461: "it does not send this way; set transport to the other of tcp and udp",
}


@dataclass(frozen=True, slots=True)
class RtspOptions:
    """How a camera is to be read.

    Attributes:
        transport: of the video.
        decoders: in the order of preference.
        threads: of the decoder.
        open_timeout_s: how long the camera may take from the first packet to the last answer.
        read_timeout_s: how long no video may come.
    """

    transport: Literal["tcp", "udp"] = "tcp"
    decoders: Sequence[str] = (SOFTWARE,)
    threads: int = 1
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0


def rtsp(address: RtspAddress, options: RtspOptions, clock: Clock) -> Connect:
    """How to connect to the camera at `address`."""

    def connect(faults: Counter[str]) -> Generator[Shot | None, None, None]:
        client = Client(address, options, clock, faults)
        try:
            yield None  # so that nothing is opened before somebody asks for the first shot
            yield from client.shots()
        except SourceError as error:
            reason = str(error)
        except OSError as error:
            text = error.strerror or str(error)
            reason = f"{text[:1].lower()}{text[1:]}; {_REMEDY}"
        finally:
            client.close()
        raise SourceError(f"{address.name}: {reason}")

    return connect


class Client:
    """One connection, used once.

    Args:
        address: the camera.
        options: how it is read.
        clock: for all limits.
        faults: counts what is missing or damaged.
    """

    def __init__(
        self, address: RtspAddress, options: RtspOptions, clock: Clock, faults: Counter[str]
    ) -> None:
        self._address, self._options = address, options
        self._clock, self._faults = clock, faults
        self._wire = Wire(address.host, address.port, address.tls, clock)
        self._splitter = Splitter()
        self._login = Login(address.user, address.password)
        self._datagrams: Datagrams | None = None
        self._ports = 0, 0  # the camera's
        self._channels = _RTP, _RTCP
        self._count = 0
        self._by_ns = 0  # when all answers must be there
        self._sign_of_life = "OPTIONS"
        self._session = ""
        self._session_s = 60.0
        self._base = self._stream_base = address.url
        self._answers: deque[Answer] = deque()
        self._packets: deque[tuple[int, bytes]] = deque()
        self._own = secrets.randbits(32)

    def shots(self) -> Iterator[Shot | None]:
        """Shots, and None about every tick; never ends by itself.

        Raises:
            SourceError: the camera refuses, or is silent.
            OSError: it is not there, or the connection was lost.
        """
        options = self._options
        self._by_ns = self._clock.now_ns() + round(options.open_timeout_s * NS_PER_S)
        yield from self._wire.connect(min(_CONNECT_S, options.open_timeout_s))
        offer = yield from self._described()
        hold_s = _HOLD_S if options.transport == "udp" else 0.0
        stream = Stream(
            offer, options.decoders, options.threads, round(hold_s * NS_PER_S), self._faults
        )
        yield from self._set_up(offer)
        yield from self._ask("PLAY", self._base, {"Range": "npt=now-"})
        yield from self._listen(stream)

    def close(self) -> None:
        """Says goodbye and closes; the camera has seen it when this returns, if it is there."""
        farewell = b""
        if self._session:
            farewell = self._request("TEARDOWN", self._base, {})
        self._wire.close(farewell)
        if self._datagrams is not None:
            self._datagrams.close()

    def _described(self) -> Generator[None, None, Offer]:
        """What of all that the camera offers we take."""
        understood = yield from self._ask("OPTIONS", self._base, {})
        if "GET_PARAMETER" in understood.header("public"):
            self._sign_of_life = "GET_PARAMETER"
        described = yield from self._ask("DESCRIBE", self._base, {"Accept": "application/sdp"})
        return self._chosen(described)

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> Generator[None, None, Answer]:
        """Sends a request, with a login where the camera asks for one, and waits for its answer."""
        for _ in range(2):
            self._wire.send(self._request(method, url, headers))
            answer = yield from self._answer()
            if answer.status != 401 or not self._login.take(
                answer.headers.get("www-authenticate", ())
            ):
                break
        self._check(method, answer)
        return answer

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> bytes:
        self._count += 1
        own = {"CSeq": str(self._count), "User-Agent": "sightline"}
        if self._session:
            own["Session"] = self._session
        return request(method, url, own | dict(headers) | self._login.headers(method, url))

    def _answer(self) -> Generator[None, None, Answer]:
        while True:
            self._receive()
            while self._answers:
                answer = self._answers.popleft()
                if answer.header("cseq") in ("", str(self._count)):
                    return answer
            yield None
            if self._clock.now_ns() >= self._by_ns:
                raise SourceError(f"no answer in time; {_REMEDY}")

    @staticmethod
    def _check(method: str, answer: Answer) -> None:
        if answer.status // 100 == 2 or (method == "OPTIONS" and answer.status != 401):
            return
        said = f"{answer.status} {answer.reason}".strip()
        if answer.status // 100 == 3:
            where = redact(answer.header("location")) or "elsewhere"
            raise SourceError(
                f"the camera sends us to {where}, which is not followed; write that address as uri"
            )
        remedy = _REMEDIES.get(answer.status, _REMEDY)
        raise SourceError(f"the camera answers {said} to {method}: {remedy}")

    def _chosen(self, described: Answer) -> Offer:
        """The first video that may be decoded."""
        base = described.header("content-base") or described.header("content-location")
        text = described.body.decode(errors="replace")
        self._stream_base = base if "://" in base else self._address.url
        self._base = control_url(self._stream_base, control_of_all(text))
        videos = [offer for offer in offers(text) if offer.kind == "video"]
        for offer in videos:
            if offer.encoding in ASSEMBLERS:
                return offer
        found = ", ".join(repr(offer.encoding) for offer in videos) or "no video"
        raise SourceError(
            f"the camera offers {found}, which is not accepted from the network; set it to one of "
            f"{', '.join(ASSEMBLERS)}"
        )

    def _set_up(self, offer: Offer) -> Generator[None, None, None]:
        url = control_url(self._stream_base, offer.control)
        if self._options.transport == "udp":
            self._datagrams = Datagrams(self._wire.own_host, self._wire.camera_host)
            first, second = self._datagrams.ports
            way = f"RTP/AVP;unicast;client_port={first}-{second}"
        else:
            way = "RTP/AVP/TCP;unicast;interleaved=0-1"
        answer = yield from self._ask("SETUP", url, {"Transport": way})
        self._session, _, rest = answer.header("session").partition(";")
        if found := re.search(r"timeout\s*=\s*(\d{1,9})", rest):
            self._session_s = max(2.0, float(found[1]))
        agreed = answer.header("transport")
        self._channels = _pair(agreed, "interleaved", 0xFF) or self._channels
        self._ports = _pair(agreed, "server_port", 0xFFFF) or self._ports
        if self._datagrams is not None:
            # Opens the way through routers between us.
            self._datagrams.send(_RTP, _EMPTY_PACKET, self._ports[_RTP])

    def _listen(self, stream: Stream) -> Iterator[Shot | None]:
        heard_ns = shown_ns = alive_ns = reported_ns = self._clock.now_ns()
        while True:
            self._receive()
            now_ns = self._clock.now_ns()
            packets, pictures = stream.packets, stream.pictures
            while self._packets:
                channel, data = self._packets.popleft()
                if channel == _RTCP:
                    stream.report(data)
                else:
                    yield from stream.push(data, now_ns)
            yield from stream.due(now_ns)
            if stream.pictures == pictures:  # else time may have passed at who takes them
                yield None
            heard_ns = now_ns if stream.packets > packets else heard_ns
            shown_ns = now_ns if stream.pictures > pictures else shown_ns
            self._check_alive(now_ns - heard_ns, now_ns - shown_ns)
            self._hear_answers()
            if now_ns - alive_ns >= self._session_s / 2 * NS_PER_S:
                alive_ns = now_ns
                self._wire.send(self._request(self._sign_of_life, self._base, {}))
            if now_ns - reported_ns >= _REPORT_S * NS_PER_S:
                reported_ns = now_ns
                self._report()

    def _check_alive(self, silent_ns: int, blind_ns: int) -> None:
        if silent_ns >= self._options.read_timeout_s * NS_PER_S:
            raise SourceError(f"silent for {silent_ns / NS_PER_S:.1f} s")
        limit_s = max(_UNDECODABLE_S, self._options.read_timeout_s)
        if blind_ns >= limit_s * NS_PER_S:
            raise SourceError(f"no picture could be decoded for {blind_ns / NS_PER_S:.0f} s")

    def _hear_answers(self) -> None:
        """Takes note of what the camera answers to signs of life."""
        while self._answers:
            answer = self._answers.popleft()
            if answer.status == 401:  # its challenge is too old
                self._login.take(answer.headers.get("www-authenticate", ()))
            elif answer.status == 454:
                raise SourceError("the camera has forgotten the session")

    def _report(self) -> None:
        """Says that somebody listens; over UDP this also keeps the way through routers open."""
        report = receiver_report(self._own)
        if self._datagrams is not None:
            self._datagrams.send(_RTCP, report, self._ports[_RTCP])
        else:
            head = b"$" + bytes([self._channels[_RTCP]]) + len(report).to_bytes(2)
            self._wire.send(head + report)

    def _receive(self) -> None:
        """Takes in what has come; waits for a tick at most where nothing has."""
        poller = select.poll()
        poller.register(self._wire.fileno(), select.POLLIN)
        for each in self._datagrams.sockets if self._datagrams else ():
            poller.register(each.fileno(), select.POLLIN)
        ready = {number for number, _ in poller.poll(TICK_S * 1000)}
        if self._wire.fileno() in ready:
            for part in self._splitter.feed(self._wire.receive()):
                if isinstance(part, Answer):
                    self._answers.append(part)
                elif part.channel in self._channels:
                    self._packets.append((self._channels.index(part.channel), part.data))
        if self._datagrams is not None:
            self._packets.extend(self._datagrams.receive())


def _pair(transport: str, name: str, most: int) -> tuple[int, int] | None:
    """Two numbers of SETUP's answer, such as ``server_port=6970-6971``; None where it has none."""
    found = re.search(rf"{name}=(\d{{1,5}})(?:-(\d{{1,5}}))?\b", transport)
    if found is None:
        return None
    first = int(found[1])
    second = int(found[2] or first + 1)
    return (first, second) if max(first, second) <= most else None

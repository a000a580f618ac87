"""RTSP requests and answers, and the packets that come between them (RFC 2326, 6, 7 and 10.12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.errors import SourceError

_LARGEST_HEAD = 1 << 16
_LARGEST_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What the camera answers to a request.

    Attributes:
        status: such as 200.
        reason: such as ``"OK"``.
        headers: names in lower case; the values of a name in their order.
        body: for example a description.
    """

    status: int
    reason: str
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header, given in lower case; empty where there is none."""
        return self.headers.get(name, ("",))[0]


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A packet that came over the connection of the answers.

    Attributes:
        channel: as agreed in SETUP; 0: RTP, 1: RTCP.
        data: the packet.
    """

    channel: int
    data: bytes


def request(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    """A request as it is sent; `url` is without user and password."""
    lines = [f"{method} {url} RTSP/1.0", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


class Splitter:
    """Takes apart what comes over the connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Answer | Interleaved]:
        """What is complete with these bytes, in order; a request of the camera's is passed over.

        Raises:
            SourceError: this is no RTSP.
        """
        self._buffer += data
        while self._buffer:
            if self._buffer[:1] == b"$":
                if len(self._buffer) < 4 or len(self._buffer) < 4 + self._packet_length:
                    return
                end = 4 + self._packet_length
                yield Interleaved(self._buffer[1], bytes(self._buffer[4:end]))
                del self._buffer[:end]
            elif self._buffer[:1] in b"\r\n":
                del self._buffer[:1]
            else:
                taken = self._take_message()
                if taken is None:
                    return
                if isinstance(taken, Answer):
                    yield taken

    @property
    def _packet_length(self) -> int:
        return self._buffer[2] << 8 | self._buffer[3]

    def _take_message(self) -> Answer | str | None:
        """An answer, the first line of a request, or None where it is not complete yet."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LARGEST_HEAD or not self._buffer[:1].isalpha():
                raise SourceError("this is not RTSP")
            return None
        first, *lines = self._buffer[:end].decode(errors="replace").split("\r\n")
        headers = _headers(lines)
        length = _number(headers.get("content-length", ("0",))[0])
        if length is None or length > _LARGEST_BODY or "RTSP/1." not in first:
            raise SourceError("this is not RTSP")
        if len(self._buffer) < end + 4 + length:
            return None
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        version, _, rest = first.partition(" ")
        if not version.startswith("RTSP/1."):
            return first
        status, _, reason = rest.partition(" ")
        return Answer(_number(status) or 0, reason, headers, body)


def _headers(lines: list[str]) -> dict[str, tuple[str, ...]]:
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = (*headers.get(key, ()), value.strip())
    return headers


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None

"""A TCP connection, with TLS or without, on which nothing waits for longer than a tick."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pipeline.clock import Clock
from pipeline.media.connection import TICK_S
from pipeline.media.timeline import NS_PER_S

_CHUNK = 1 << 16
_MOST = 1 << 20
_FAREWELL_S = 0.2
# A camera that lost its memory in a power cut answers such a probe with a reset: so it is found out
# within two seconds, also where nothing else would be sent.
_PROBES = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 10}


class Wire:
    """The control connection to a camera.

    Args:
        host: name or number.
        port: of the camera.
        tls: encrypted. The certificate is not checked: cameras sign theirs themselves.
        clock: for the limits.
    """

    def __init__(self, host: str, port: int, tls: bool, clock: Clock) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._clock = clock
        self._socket: socket.socket | None = None

    def connect(self, limit_s: float) -> Iterator[None]:
        """Connects to the first of the host's addresses that answers; gives None every tick.

        Args:
            limit_s: for each of them.

        Raises:
            OSError: none answers.
        """
        reason: OSError = OSError("the name has no address")
        for found in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
            by_ns = self._clock.now_ns() + round(limit_s * NS_PER_S)
            try:
                yield from self._connect(socket.socket(*found[:3]), found[4], by_ns)
                return
            except OSError as error:
                reason = error
                self.close()
        raise reason

    def _connect(self, made: socket.socket, address: Any, by_ns: int) -> Iterator[None]:
        self._socket = made
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):  # Linux's names
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        with suppress(BlockingIOError):
            made.connect(address)
        yield from self._until(select.POLLOUT, by_ns)
        if number := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))
        if self._tls:
            yield from self._encrypt(made, by_ns)

    def _encrypt(self, made: socket.socket, by_ns: int) -> Iterator[None]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = secure = context.wrap_socket(
            made, server_hostname=self._host, do_handshake_on_connect=False
        )
        while True:
            try:
                return secure.do_handshake()
            except ssl.SSLWantReadError:
                yield from self._until(select.POLLIN, by_ns)
            except ssl.SSLWantWriteError:
                yield from self._until(select.POLLOUT, by_ns)

    def _until(self, event: int, by_ns: int) -> Iterator[None]:
        poller = select.poll()
        poller.register(self.fileno(), event)
        while not poller.poll(TICK_S * 1000):
            yield None
            if self._clock.now_ns() >= by_ns:
                raise TimeoutError("no answer in time")

    def fileno(self) -> int:
        """For `select.poll`; −1 where there is no connection."""
        return self._socket.fileno() if self._socket else -1

    @property
    def own_host(self) -> str:
        """This machine's address, as the camera sees it where nothing translates it."""
        return str(self._required.getsockname()[0])

    @property
    def camera_host(self) -> str:
        """The camera's address, as a number."""
        return str(self._required.getpeername()[0])

    @property
    def _required(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("not connected")
        return self._socket

    def send(self, data: bytes) -> None:
        """Sends something small; a camera that has not read the last things is as good as lost."""
        self._required.sendall(data)

    def receive(self) -> bytes:
        """What has come; empty where nothing has.

        Raises:
            OSError: the connection is lost, or the camera closed it.
        """
        data = bytearray()
        while len(data) < _MOST:
            try:
                part = self._required.recv(_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            if not part and not data:
                raise ConnectionError("the camera closed the connection")
            if not part:
                break
            data += part
        return bytes(data)

    def close(self, farewell: bytes = b"") -> None:
        """Closes, so that the camera has seen it when this returns, or a fifth of a second later.

        Args:
            farewell: the last request; empty: nobody listens any more.
        """
        closing, self._socket = self._socket, None
        if closing is None:
            return
        with closing, suppress(OSError, ValueError):
            if not farewell:
                return
            closing.sendall(farewell)
            closing.shutdown(socket.SHUT_WR)
            # What has not been read would make a reset of the end.
            by_s = time.monotonic() + _FAREWELL_S
            while (left_s := by_s - time.monotonic()) > 0:
                closing.settimeout(left_s)
                if not closing.recv(_CHUNK):
                    return

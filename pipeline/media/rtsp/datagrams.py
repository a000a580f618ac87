"""The two UDP ports on which a camera sends packets and reports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

_ATTEMPTS = 100
_LARGEST = 1 << 16
_MOST = 1024
# A key picture of some hundred packets comes at once; the system may grant less.
_BUFFER = 1 << 22


class Datagrams:
    """An even port for RTP and the next one for RTCP (RFC 3550, 11).

    Args:
        own_host: address to listen at.
        camera_host: what comes from elsewhere is not the camera's, and passed over.

    Raises:
        OSError: there are no two ports.
    """

    def __init__(self, own_host: str, camera_host: str) -> None:
        self._camera_host = camera_host
        self.sockets = _pair(own_host)
        for each in self.sockets:
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    @property
    def ports(self) -> tuple[int, int]:
        """Of RTP and RTCP."""
        rtp, rtcp = self.sockets
        return rtp.getsockname()[1], rtcp.getsockname()[1]

    def receive(self) -> Iterator[tuple[int, bytes]]:
        """What has come: 0 for RTP or 1 for RTCP, and the packet."""
        for channel, each in enumerate(self.sockets):
            with suppress(BlockingIOError, ConnectionRefusedError):
                for _ in range(_MOST):
                    data, sender = each.recvfrom(_LARGEST)
                    if sender[0] == self._camera_host:
                        yield channel, data

    def send(self, channel: int, data: bytes, port: int) -> None:
        """Sends something to the camera; that it cannot be sent shows in what comes."""
        with suppress(OSError):
            self.sockets[channel].sendto(data, (self._camera_host, port))

    def close(self) -> None:
        """Gives the ports back."""
        for each in self.sockets:
            each.close()


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_ATTEMPTS):
        rtp = socket.socket(family, socket.SOCK_DGRAM)
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            rtp.bind((host, 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((host, port + 1))
                return rtp, rtcp
        except OSError:
            pass  # somebody has the next one
        rtp.close()
        rtcp.close()
    raise OSError("no two UDP ports next to each other are free")

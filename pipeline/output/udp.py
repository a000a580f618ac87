"""Sending datagrams without ever waiting."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from typing import Any

from pipeline.errors import OutputError
from pipeline.output.address import Address

_REASONS = {
    errno.EAGAIN: "buffer_full",
    errno.ENOBUFS: "buffer_full",
    errno.ECONNREFUSED: "refused",
    errno.EMSGSIZE: "too_big",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EPERM: "forbidden",
}


class UdpSender:
    """A connected, non-blocking UDP socket. What cannot be sent is counted, never raised.

    Args:
        to: the receiver; a host name is resolved once, here.

    Attributes:
        sent: datagrams handed to the network.
        lost: datagrams that were not, by reason: ``buffer_full``, ``refused`` (nobody listens at
            the receiver's port), ``too_big``, ``unreachable`` (no route now), ``forbidden`` (a
            firewall), ``other``.

    Raises:
        OutputError: the host name is not known.
    """

    def __init__(self, to: Address) -> None:
        self.sent = 0
        self.lost: Counter[str] = Counter()
        try:
            found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise OutputError(
                f"udp.to: host {to.host!r} is not known ({error}); write an IP address or a name "
                "that resolves"
            ) from error
        family, kind, protocol, _, address = found[0]
        self._address: tuple[Any, ...] = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._connected = False

    def send(self, datagram: bytes) -> bool:
        """Sends one datagram; says whether the network took it."""
        try:
            if not self._connected:  # there may be a route later than the start
                self._socket.connect(self._address)
                self._connected = True
            self._send(datagram)
        except OSError as error:
            self.lost[_REASONS.get(error.errno or 0, "other")] += 1
            return False
        self.sent += 1
        return True

    def _send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError:
            # Linux tells here that an earlier datagram was refused, and does not send this one.
            self.sent -= 1
            self.lost["refused"] += 1
            self._socket.send(datagram)

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()

"""Sending datagrams without ever waiting."""

from __future__ import annotations

import errno
import socket
from collections import Counter

from pipeline.output.address import Address
from pipeline.output.resolving import Endpoint, Resolver

_REASONS = {
    errno.EAGAIN: "buffer_full",
    errno.ENOBUFS: "buffer_full",
    errno.ECONNREFUSED: "refused",
    errno.EMSGSIZE: "too_big",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EAFNOSUPPORT: "unreachable",
    errno.EPERM: "forbidden",
    errno.EACCES: "forbidden",
}


class UdpSender:
    """A non-blocking UDP socket. What cannot be sent is counted, never raised.

    Args:
        to: the receiver; the address of a host name is asked for beside the graph, again and again.

    Attributes:
        sent: datagrams handed to the network.
        lost: datagrams that were not, by reason: ``unresolved`` (the host name is not known now),
            ``buffer_full``, ``refused`` (nobody listens at the receiver's port), ``too_big``,
            ``unreachable`` (no route now), ``forbidden`` (a firewall, a
            broadcast), ``other``.
    """

    def __init__(self, to: Address) -> None:
        self.sent = 0
        self.lost: Counter[str] = Counter()
        self._resolver = Resolver(to)
        self._socket: socket.socket | None = None
        self._connected: Endpoint | None = None

    def send(self, datagram: bytes) -> bool:
        """Sends one datagram; says whether the network took it."""
        endpoint = self._resolver.endpoint
        if endpoint is None:
            self.lost["unresolved"] += 1
            return False
        try:
            if self._socket is None or self._connected != endpoint:
                self._socket = self._connect(endpoint)
            self._send(self._socket, datagram)
        except OSError as error:
            self.lost[_REASONS.get(error.errno or 0, "other")] += 1
            return False
        self.sent += 1
        return True

    def _connect(self, endpoint: Endpoint) -> socket.socket:
        """A socket to the endpoint; not yet connected where there is no route now."""
        if self._socket is not None:
            self._socket.close()
        self._socket = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(endpoint.address)
        self._connected = endpoint
        return self._socket

    def _send(self, to: socket.socket, datagram: bytes) -> None:
        try:
            to.send(datagram)
        except ConnectionRefusedError:
            # Linux tells here that an earlier datagram was refused, and does not send this one.
            self.sent -= 1
            self.lost["refused"] += 1
            to.send(datagram)

    def close(self) -> None:
        """Gives the socket back."""
        self._resolver.close()
        if self._socket is not None:
            self._socket.close()

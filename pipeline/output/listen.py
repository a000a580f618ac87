"""Listening for messages on a UDP socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pipeline.errors import OutputError
from pipeline.output.address import Address, parse_address
from pipeline.output.message import Message
from pipeline.output.receiver import Receiver, Statistics

_LARGEST = 65535
_BUFFER_BYTES = 8 << 20


class Listener:
    """A bound UDP socket and what came through it::

        with Listener("127.0.0.1:9000") as listener:
            for message in listener.messages(timeout_s=2.0):
                ...
        print(listener.statistics)

    One thread iterates; any other may call `stop` and read `statistics`.

    Args:
        bind: ``host:port``; port 0 takes a free one.
        key: as `Receiver`'s.

    Attributes:
        address: where it listens.

    Raises:
        OutputError: the address is malformed, not one of this machine's, or in use; or as
            `Receiver`.
    """

    def __init__(self, bind: str, key: bytes | None = None) -> None:
        self._receiver = Receiver(key)
        self._stopped = False
        try:
            self._socket = _bound(parse_address(bind))
        except ValueError as error:
            raise OutputError(f"--bind: {error}") from error
        self.address = Address(*self._socket.getsockname()[:2])
        # The kernel cuts this down to net.core.rmem_max; a burst waits here while we decode.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)

    @property
    def statistics(self) -> Statistics:
        """What came so far, and what did not."""
        return self._receiver.statistics

    def messages(self, timeout_s: float | None = None) -> Iterator[Message]:
        """Yields messages as they come, fragments one by one.

        Args:
            timeout_s: ends when no datagram came for so long; None waits for `stop`.
        """
        silent_since_s = time.monotonic()
        while not self._stopped:
            try:
                datagram = self._socket.recv(_LARGEST)
            except TimeoutError:
                if timeout_s is not None and time.monotonic() - silent_since_s >= timeout_s:
                    return
                continue
            silent_since_s = time.monotonic()
            message = self._receiver.receive(datagram)
            if message is not None:
                yield message

    def stop(self) -> None:
        """Ends `messages` within a moment."""
        self._stopped = True

    def close(self) -> None:
        """Gives the socket back."""
        self.stop()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


#: How often a waiting listener looks whether it was stopped, seconds.
_POLL_S = 0.1


def _bound(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise OutputError(f"--bind: host {address.host!r} is not known ({error})") from error
    try:
        bound.bind(where)
    except OSError as error:
        bound.close()
        raise OutputError(
            f"--bind: cannot listen at {address}: {error.strerror}; choose another port, or end "
            "the program that has it (`ss -lunp` shows which)"
        ) from error
    bound.settimeout(_POLL_S)
    return bound

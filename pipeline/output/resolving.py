"""A host name's address, without the graph ever waiting for a name server."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any, NamedTuple

from pipeline.output.address import Address
from pipeline.worker import Background

_log = logging.getLogger(__name__)

#: A name that is not known is asked for again after so long, doubled up to the longest; one that is
#: known after the longest, as a receiver may move. Seconds.
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
#: How long a start waits for the first answer, so that the first messages are not lost, seconds.
START_S = 2.0
_STOP_S = 0.2


class Endpoint(NamedTuple):
    """What a socket needs to reach an address."""

    family: int
    address: tuple[Any, ...]


class Resolver:
    """Keeps a UDP receiver's address known, in a thread of its own where it is a name.

    Args:
        to: host name or IP address, and port.

    Attributes:
        endpoint: where the receiver is; None while its name is not known.
    """

    def __init__(self, to: Address) -> None:
        self._to = to
        self._answered = threading.Event()
        self.endpoint = _lookup(to, socket.AI_NUMERICHOST)
        self._thread: Background | None = None
        if self.endpoint is None:
            self._thread = Background(f"resolve {to.host}", self._keep)
            self._thread.start()
            self._answered.wait(START_S)

    def _keep(self, stop: threading.Event) -> None:
        wait_s = FIRST_RETRY_S
        while not stop.is_set():
            found = _lookup(self._to)
            if found is None and not self._answered.is_set():
                _log.warning("host %s is not known; what is sent to it is lost", self._to.host)
            if found is not None:
                self.endpoint = found  # else the last known one stays
            self._answered.set()
            stop.wait(wait_s if self.endpoint is None else LONGEST_RETRY_S)
            wait_s = min(2 * wait_s, LONGEST_RETRY_S)

    def close(self) -> None:
        """Ends the thread; one that waits for a name server ends after its answer."""
        if self._thread is not None:
            self._thread.stop(_STOP_S)


def _lookup(to: Address, flags: int = 0) -> Endpoint | None:
    try:
        found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_DGRAM, flags=flags)
    except (OSError, UnicodeError):
        return None
    family, _, _, _, address = found[0]
    return Endpoint(family, address)

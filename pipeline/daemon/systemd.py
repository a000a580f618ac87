"""What a service manager is told, by the protocol of sd_notify(3) and sd_watchdog_enabled(3).

One datagram a message, lines of ``NAME=value``, to the unix socket that `NOTIFY_SOCKET` names; a
name that begins with ``@`` is in the abstract namespace. Without a service manager all this does
nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

_log = logging.getLogger(__name__)


class Notifier:
    """Tells the service manager how this process is doing. Never blocks, never raises.

    Attributes:
        watchdog_s: the manager ends this process when it hears no `alive` for so long, seconds;
            None where it does not watch.

    Args:
        address: of the manager's socket; empty where there is none.
        watchdog_s: as above.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Notifier:
        """As the service manager asked for; takes its words out, so that no child speaks for us."""
        address = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        watched = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if watched else None)

    def ready(self) -> None:
        """Everything is started."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """How it goes, in one line."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """To be said more often than every `watchdog_s`."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1", "STATUS=stopping")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """While the block runs, another configuration is tried."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._send("READY=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(text.encode(), self._address)
        except OSError as error:
            _log.warning("the service manager does not listen: %s", error.strerror)

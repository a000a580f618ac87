"""The process that started this one: what is heard from it, and what it is told, the log included.

`engines.isolation.spawn.ChildProcess` is the other end.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import threading
from multiprocessing.connection import Connection
from typing import Any

#: The first word of a message with a record of the log.
LOG = "log"


class Parent:
    """What this process's parent says, and is told.

    Args:
        channel: to it, as `from_the_parent` gives it.
    """

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._telling = threading.Lock()

    def hear(self) -> Any:
        """Waits for its next message. Raises `EOFError` where it wants nothing any more."""
        return self._channel.recv()

    def tell(self, *message: Any) -> None:
        """Sends a message; from any thread."""
        with self._telling:
            self._channel.send(message)

    def take_log(self) -> None:
        """From now on it is told what is logged here."""
        logging.basicConfig(level=logging.INFO, handlers=[_LogSocket(self)])


class _LogSocket(logging.handlers.QueueHandler):
    """Sends what is logged here to the parent, which logs it."""

    def __init__(self, parent: Parent) -> None:
        super().__init__(queue.SimpleQueue())
        self._parent = parent

    def enqueue(self, record: logging.LogRecord) -> None:
        self._parent.tell(LOG, record)


def log_here(record: logging.LogRecord) -> None:
    """In the parent: logs what a child told."""
    logging.getLogger(record.name).handle(record)

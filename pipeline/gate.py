"""A gate that one thread goes through again and again, and others can hold shut for a moment."""

from __future__ import annotations

import threading


class Gate:
    """Between a source and the graph.

    A plain lock would do if locks were fair: whoever takes one again at once, as a fast source
    does, never lets in who waits for it. So one has to queue up for this one.
    """

    def __init__(self) -> None:
        self._queue = threading.Lock()
        self._passage = threading.Lock()

    def __enter__(self) -> None:
        """Goes through, as soon as nobody holds the gate."""
        with self._queue:
            self._passage.acquire()

    def __exit__(self, *exc: object) -> None:
        self._passage.release()

    def hold(self, timeout_s: float) -> bool:
        """Holds the gate shut until `release`; says whether who was in it came out in time."""
        with self._queue:
            return self._passage.acquire(timeout=timeout_s)

    def release(self) -> None:
        """Lets through again."""
        self._passage.release()

"""The way back: what a later stage made of a camera's last frame, for an earlier one to go on with.

Beside the queues, which only lead forward. There is one place a camera and one item under way, so
the giving side never waits, and the taking side waits only for what it handed on itself. As with
the queues there are no sentinels: who waits meets `Closed` when the giving side is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from pipeline.errors import PacketError
from pipeline.queues import Closed

T = TypeVar("T")


class Feedback(Generic[T]):
    """One place a camera, from a stage back to one before it; all calls from any thread."""

    def __init__(self) -> None:
        self._items: dict[str, T] = {}
        self._changed = threading.Condition()
        self._closed = False

    def give(self, camera: str, item: T) -> None:
        """Puts the camera's item in its place, in place of one that nobody took."""
        with self._changed:
            self._items[camera] = item
            self._changed.notify_all()

    def take(self, camera: str) -> T:
        """Waits for the camera's next item.

        Raises:
            Closed: there is none, and nobody gives any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: camera in self._items or self._closed)
            if camera not in self._items:
                raise Closed
            return self._items.pop(camera)

    @contextmanager
    def kept(self, camera: str, item: T) -> Iterator[None]:
        """Gives the item back if the packet is dropped inside: the camera's next frame needs it."""
        try:
            yield
        except PacketError:
            self.give(camera, item)
            raise

    def close(self) -> None:
        """Nothing is given any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

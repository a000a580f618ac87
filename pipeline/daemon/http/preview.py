"""Pictures for whoever looks: drawn when asked for, and for all who ask together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from pipeline.output.preview import Snapshot

#: Pictures a second and camera, at most, however many look.
_MOST_FPS = 5.0
_MOST_VIEWERS = 8
_BOUNDARY = "frame"
#: Of a stream of JPEGs that each replace the last one (RFC 2046, with the type Netscape gave it).
MJPEG = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"

Draw = Callable[[str], Snapshot | None]


class Preview:
    """The latest pictures of all cameras.

    Args:
        draw: gives a camera's picture as it is now; takes milliseconds, and no packet waits for it.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._drawn: dict[str, tuple[float, Snapshot | None]] = {}
        self._viewers = 0

    def snapshot(self, camera: str) -> Snapshot | None:
        """The camera's picture, not older than a fifth of a second; from any thread."""
        with self._lock:  # one is drawn at a time: looking must not cost more than a core's share
            at_s, snapshot = self._drawn.get(camera, (0.0, None))
            if snapshot is None or time.monotonic() - at_s >= 1 / _MOST_FPS:
                snapshot = self._draw(camera)
                self._drawn[camera] = time.monotonic(), snapshot
            return snapshot

    async def stream(self, camera: str) -> AsyncIterator[bytes]:
        """The camera's pictures as they come, as parts of an `MJPEG` body."""
        shown: Snapshot | None = None
        while True:
            snapshot = await asyncio.to_thread(self.snapshot, camera)
            if snapshot is not None and snapshot is not shown:
                shown = snapshot
                yield _part(snapshot.jpeg)
            await asyncio.sleep(1 / _MOST_FPS)

    @contextmanager
    def viewing(self) -> Iterator[bool]:
        """While the block runs, one more looks at a stream; says whether they may."""
        if self._viewers >= _MOST_VIEWERS:
            yield False
            return
        self._viewers += 1
        try:
            yield True
        finally:
            self._viewers -= 1


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"

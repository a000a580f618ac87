"""A camera that is known and left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from pipeline.media.source import Condition, Source, SourceFrame, SourceInfo, SourceState


class PausedSource(Source):
    """Connects to nothing and gives no frame until it is interrupted."""

    live = True

    def __init__(self) -> None:
        super().__init__()
        self._interrupted = threading.Event()
        self._condition = Condition(SourceState.PAUSED, "paused", time.monotonic_ns())

    def open(self) -> SourceInfo:
        return SourceInfo(0, 0, None, None, None, "", True, "")

    def frames(self) -> Iterator[SourceFrame]:
        self._interrupted.wait()
        yield from ()

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._interrupted.set()

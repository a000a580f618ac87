"""Whether the cameras answer: asked all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from pipeline.doctor.check import Check, Grade
from pipeline.errors import SourceError
from pipeline.graph import Camera
from pipeline.media.source import Source
from pipeline.worker import Background

_REMEDY = "check its address, user and password, and the way to it"


def connect(cameras: Sequence[Camera], timeout_s: float) -> list[Check]:
    """Waits for one picture of each.

    Args:
        cameras: of a graph that is not running.
        timeout_s: for all of them together.
    """
    calls = [_Call(camera) for camera in cameras if camera.live]
    deadline_s = time.monotonic() + timeout_s
    return [call.answer(max(0.0, deadline_s - time.monotonic())) for call in calls]


class _Call:
    """One camera that is being asked."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._seen = threading.Event()
        self._source: Source | None = None
        self._found = ""
        self._thread = Background(f"doctor-{camera.id}", self._look)
        self._thread.start()

    def answer(self, timeout_s: float) -> Check:
        """What is known after so long."""
        began_s = time.monotonic()
        name = f"camera {self._camera.id}"
        seen = self._seen.wait(timeout_s)
        source = self._source
        if source is not None:
            source.interrupt()
        self._thread.stop(2.0)
        if seen:
            return Check(name, Grade.OK, self._found)
        reason = self._found or (source.condition.last_error if source else "")
        waited_s = time.monotonic() - began_s
        return Check(name, Grade.FAIL, reason or f"no picture within {waited_s:.0f} s", _REMEDY)

    def _look(self, stop: threading.Event) -> None:
        self._source = source = self._camera.make()
        try:
            source.open()
            frame = next(iter(source.frames()), None)
            if frame is not None:
                picture = frame.picture
                self._found = f"{picture.width}x{picture.height}"
                self._seen.set()
        except SourceError as error:
            self._found = str(error)
        finally:
            source.close()

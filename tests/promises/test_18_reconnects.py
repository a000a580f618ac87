"""Promise 18: however often a camera is lost, nothing is left behind: memory, descriptors, threads.

`python -m benchmarks.soak --harm-every 5` does it to the whole program, for hours.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import pytest

from pipeline.media.source import SourceFrame, SourceState
from pipeline.media.sources import SourceOptions, open_source
from tests.promises.harness import eventually
from tests.rtsp.camera import Camera
from tests.rtsp.clip import encode

#: Allocators find their size, and modules are loaded, in the first connections.
_WARM_UP = 15
#: A picture is 0.45 MB, a decoder more: one left behind each time would be 27 MB after sixty.
_MEMORY_MB = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds: MB, descriptors and threads, the camera's among them."""

    rss_mb: float
    descriptors: int
    threads: int


def held() -> Held:
    process = psutil.Process()
    return Held(process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())


def reconnect(camera: Camera, frames: Iterator[SourceFrame], sessions: Callable[[], int]) -> None:
    """Loses the camera, and reads on until the next connection gives a picture."""
    before = sessions()
    camera.disconnect(reset=bool(before % 2))
    for frame in frames:
        if sessions() > before and not frame.stalled:
            return


@pytest.mark.parametrize(
    ("transport", "times"),
    [("udp", 60), pytest.param("tcp", 500, marks=pytest.mark.slow)],
)
def test_nothing_is_left_of_a_lost_connection(
    rtsp: Callable[..., Camera], transport: str, times: int, record_property
) -> None:
    camera = rtsp(encode("h264", 640, 480, fps=100, count=10, gop=2))
    source = open_source(camera.url, SourceOptions(retry_s=0.05, transport=transport))
    source.open()
    frames = source.frames()

    def sessions() -> int:
        return source.condition.sessions

    try:
        next(frames)
        for _ in range(_WARM_UP):
            reconnect(camera, frames, sessions)
        before = held()
        gc.disable()  # what only the collector frees is left behind until it comes by
        for _ in range(times):
            reconnect(camera, frames, sessions)
        # The camera's own side of the last connection ends in its own time.
        eventually(lambda: held().threads <= before.threads, what=f"{held()} after {before}")
        after = held()
    finally:
        gc.enable()
        source.close()
    record_property("connections", times)
    record_property("held before", str(before))
    record_property("held after", str(after))
    assert source.condition.sessions >= times + _WARM_UP
    assert source.condition.state is not SourceState.ENDED
    assert after.descriptors <= before.descriptors
    assert after.rss_mb - before.rss_mb < _MEMORY_MB
    assert camera.most_connections == 1

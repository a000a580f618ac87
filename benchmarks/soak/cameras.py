"""The cameras: our own ones, on loopback, in a process of their own.

They see the rendered street, painted and encoded beforehand: painting a 720p picture costs more
than all that the pipeline does with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from pipeline.world import World
from tests.rtsp.camera import Camera, Faults
from tests.rtsp.clip import Clip, encode

WIDTH, HEIGHT, FPS = 1280, 720, 15
_SCENES = ("day", "dusk", "crowd")
_HARM_S = 5.0
_PROCESSES = get_context("spawn")


def painted(count: int, pictures: int, processes: int) -> list[Clip]:
    """Loops of different streets, H.264 at 1280x720 and 15 fps."""
    with ProcessPoolExecutor(processes, _PROCESSES) as pool:
        return list(pool.map(partial(_clip, pictures), range(count)))


@contextmanager
def serving(clips: list[Clip], harm_every_s: float) -> Iterator[tuple[int, list[str]]]:
    """Cameras that are there while the block runs.

    Args:
        clips: what each of them sees.
        harm_every_s: every so often one of them comes to harm, in turn; 0: none ever does.

    Yields:
        Their process's id, and their URLs.
    """
    ours, theirs = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_serve, args=(theirs, clips, harm_every_s))
    process.start()
    theirs.close()
    try:
        yield process.pid or 0, ours.recv()
    finally:
        ours.close()  # upon which it ends
        process.join()


def _serve(control: Connection, clips: list[Clip], harm_every_s: float) -> None:
    with ExitStack() as stack:
        cameras = [stack.enter_context(Camera(clip)) for clip in clips]
        control.send([camera.url for camera in cameras])
        harmed = zip(cycle(_HARMS), cycle(reversed(cameras)), strict=False)
        while not control.poll(harm_every_s or None):  # readable: the other side has closed
            harm, camera = next(harmed)
            harm(camera)


def _silent(camera: Camera) -> None:
    camera.faults = Faults(stalled=True)
    time.sleep(_HARM_S)
    camera.faults = Faults()


def _lossy(camera: Camera) -> None:
    camera.faults = Faults(loss=0.02)
    time.sleep(_HARM_S)
    camera.faults = Faults()


def _away(camera: Camera) -> None:
    camera.go_away()
    time.sleep(_HARM_S)
    camera.come_back()


_HARMS: tuple[Callable[[Camera], None], ...] = (
    Camera.disconnect,
    _silent,
    partial(Camera.disconnect, reset=True),
    _away,
    _lossy,
)


def _clip(pictures: int, number: int) -> Clip:
    world = World(_SCENES[number % len(_SCENES)], number, WIDTH, HEIGHT, FPS)

    def paint(index: int, width: int, height: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(world.render(index).image_bgr[..., ::-1])

    return encode("h264", WIDTH, HEIGHT, FPS, pictures, 2 * FPS, paint)

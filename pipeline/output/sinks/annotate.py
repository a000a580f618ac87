"""The pictures with what was found drawn on them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from pipeline.media.writer import VideoWriter
from pipeline.output.annotate import Annotator
from pipeline.output.files import PartFile
from pipeline.output.message import Message, from_packet
from pipeline.output.proposals import with_proposals
from pipeline.output.sinks.paths import camera_path, camera_paths, each
from pipeline.output.spec import AnnotateSpec
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink

_NOMINAL_FPS = 25.0


class AnnotateSink(Sink[Tracked]):
    """Draws every frame into a video a camera.

    Args:
        spec: path and looks.
        cameras: ids of all cameras of the run.
        labels: class names by label index.

    Raises:
        OutputError: there are several cameras, and no ``{camera}`` in the path.
    """

    consumes = Tracked

    def __init__(self, spec: AnnotateSpec, cameras: Sequence[str], labels: Sequence[str]) -> None:
        self._spec = spec
        self._paths = camera_paths(spec.path, cameras, shared=False)
        self._labels = labels
        self._annotators: dict[str, Annotator] = {}
        self._parts: dict[str, PartFile] = {}
        self._writers: dict[str, VideoWriter] = {}

    def open(self) -> None:
        for camera, path in self._paths.items():
            self._parts[camera] = PartFile(path)

    def expect(self, camera: str) -> None:
        self._parts[camera] = PartFile(camera_path(self._spec.path, camera))

    def forget(self, camera: str) -> None:
        self._annotators.pop(camera, None)
        part, writer = self._parts.pop(camera, None), self._writers.pop(camera, None)
        if part is not None:
            each([writer.close, part.finish, part.close] if writer else [part.close])

    def write(self, packet: Packet[Tracked]) -> None:
        camera = packet.frame.camera
        message = from_packet(packet, now_ns=time.monotonic_ns())
        picture, proposals = packet.payload.picture.bgr(), packet.payload.proposals
        if proposals is not None and self._spec.proposals:
            picture = with_proposals(picture, proposals, self._spec.proposals, self._spec.anchors)
        drawn = self._annotator(camera).draw(picture, message)
        writer = self._writers.get(camera)
        if writer is None:
            writer = self._writers[camera] = self._open_video(camera, message)
        size = (writer.width, writer.height)
        if drawn.shape[1::-1] != size:  # the camera changed its resolution, a video cannot
            drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA).astype(
                np.uint8, copy=False
            )
        writer.write(drawn, message.pts_ns)

    def _annotator(self, camera: str) -> Annotator:
        if camera not in self._annotators:
            spec = self._spec
            self._annotators[camera] = Annotator(self._labels, spec.trails_s, spec.latency)
        return self._annotators[camera]

    def _open_video(self, camera: str, message: Message) -> VideoWriter:
        part = self._parts[camera].part
        return VideoWriter(part, message.width, message.height, _NOMINAL_FPS, crf=self._spec.crf)

    def flush(self) -> Iterable[Packet[Any]]:
        each([writer.close for writer in self._writers.values()])
        each([self._parts[camera].finish for camera in self._writers])
        return ()

    def close(self) -> None:
        parts = self._parts.values()
        each([writer.close for writer in self._writers.values()] + [p.close for p in parts])

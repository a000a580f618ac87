"""The pictures with what was found drawn on them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.output.annotate import Annotator
from pipeline.output.message import from_packet
from pipeline.output.proposals import with_proposals
from pipeline.output.recorder import Recorder
from pipeline.output.series import START
from pipeline.output.sinks.rows import camera_row, camera_rows, each, recording_counts
from pipeline.output.spec import AnnotateSpec
from pipeline.output.videofile import Shot, VideoFile
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink


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
        self._rows = camera_rows(spec.path, cameras, shared=False)
        self._labels = labels
        self._annotators: dict[str, Annotator] = {}
        self._recorders: dict[str, Recorder[Shot]] = {}

    def open(self) -> None:
        for camera in self._rows:
            self._begin(camera)

    def _begin(self, camera: str) -> None:
        spec = self._spec
        recorder = Recorder[Shot](
            self._rows[camera], spec, lambda path: VideoFile(path, spec.crf, START in spec.path)
        )
        recorder.open()
        self._recorders[camera] = recorder

    def expect(self, camera: str) -> None:
        self._rows[camera] = camera_row(self._spec.path, camera)
        self._begin(camera)

    def forget(self, camera: str) -> None:
        self._annotators.pop(camera, None)
        self._rows.pop(camera, None)
        if (recorder := self._recorders.pop(camera, None)) is not None:
            recorder.finish()

    def write(self, packet: Packet[Tracked]) -> None:
        camera = packet.frame.camera
        message = from_packet(packet, now_ns=time.monotonic_ns())
        picture, proposals = packet.payload.picture.bgr(), packet.payload.proposals
        if proposals is not None and self._spec.proposals:
            picture = with_proposals(picture, proposals, self._spec.proposals, self._spec.anchors)
        drawn = self._annotator(camera).draw(picture, message)
        self._recorders[camera].write((drawn, message.pts_ns))

    def _annotator(self, camera: str) -> Annotator:
        if camera not in self._annotators:
            spec = self._spec
            self._annotators[camera] = Annotator(self._labels, spec.trails_s, spec.latency)
        return self._annotators[camera]

    def flush(self) -> Iterable[Packet[Any]]:
        each([recorder.finish for recorder in self._recorders.values()])
        return ()

    def counts(self) -> Mapping[str, int]:
        """Frames ``missing`` as the disk was full, and how many videos are ``paused`` by that."""
        return recording_counts(self._recorders.values())

    def close(self) -> None:
        each([recorder.close for recorder in self._recorders.values()])

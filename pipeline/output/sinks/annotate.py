"""The pictures with what was found drawn on them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.output.annotate import Annotator
from pipeline.output.message import from_packet
from pipeline.output.overlay import Outline, of_camera
from pipeline.output.proposals import with_proposals
from pipeline.output.recorder import Recorder
from pipeline.output.series import START
from pipeline.output.sinks.recording import RecordingSink
from pipeline.output.spec import AnnotateSpec
from pipeline.output.videofile import Shot, VideoFile
from pipeline.packet import Packet
from pipeline.payloads import Tracked


class AnnotateSink(RecordingSink[Shot]):
    """Draws every frame into a video a camera.

    Args:
        spec: path and looks.
        cameras: ids of all cameras of the run.
        labels: class names by label index.
        outlines: of the rules' lines and zones.

    Raises:
        OutputError: there are several cameras, and no ``{camera}`` in the path.
    """

    looks = True

    def __init__(
        self,
        spec: AnnotateSpec,
        cameras: Sequence[str],
        labels: Sequence[str],
        outlines: Sequence[Outline] = (),
    ) -> None:
        super().__init__(spec.path, cameras, shared=False)
        self._spec = spec
        self._labels = labels
        self._outlines = outlines
        self._annotators: dict[str, Annotator] = {}

    def _recorder(self, row: str) -> Recorder[Shot]:
        spec = self._spec
        return Recorder(row, spec, lambda path: VideoFile(path, spec.crf, START in spec.path))

    def forget(self, camera: str) -> None:
        self._annotators.pop(camera, None)
        super().forget(camera)

    def write(self, packet: Packet[Tracked]) -> None:
        camera = packet.frame.camera
        message = from_packet(packet, now_ns=time.monotonic_ns())
        picture, proposals = packet.payload.picture.bgr(), packet.payload.proposals
        if proposals is not None and self._spec.proposals:
            picture = with_proposals(picture, proposals, self._spec.proposals, self._spec.anchors)
        drawn = self._annotator(camera).draw(picture, message)
        self._record(camera, (drawn, message.pts_ns))

    def _annotator(self, camera: str) -> Annotator:
        if camera not in self._annotators:
            spec, outlines = self._spec, of_camera(self._outlines, camera)
            annotator = Annotator(self._labels, spec.trails_s, spec.latency, outlines)
            self._annotators[camera] = annotator
        return self._annotators[camera]

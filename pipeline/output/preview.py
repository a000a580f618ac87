"""The latest result of each camera, for whoever wants to see it now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2

from pipeline.output.annotate import Annotator
from pipeline.output.message import from_packet
from pipeline.output.overlay import Outline, of_camera
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink

#: The stage's name in a graph.
PREVIEW = "preview"

_QUALITY = 80  # of a JPEG, 0..100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture with what was found in it.

    Attributes:
        jpeg: the picture, drawn on.
        frame: what is known of it, as JSON values.
    """

    jpeg: bytes
    frame: Mapping[str, Any]


class PreviewSink(Sink[Tracked]):
    """Keeps each camera's last packet, and counts what happened; draws when somebody asks.

    Args:
        labels: class names by label index.
        outlines: of the rules' lines and zones, to be drawn.
    """

    consumes = Tracked
    looks = True

    def __init__(self, labels: Sequence[str], outlines: Sequence[Outline] = ()) -> None:
        self._labels = labels
        self._outlines = outlines
        self._latest: dict[str, Packet[Tracked]] = {}
        self._events: Counter[str] = Counter()

    def write(self, packet: Packet[Tracked]) -> None:
        camera, analysis = packet.frame.camera, packet.payload.analysis
        self._latest[camera] = packet
        if analysis is not None:
            self._events.update(f"{camera} {event.rule} {event.kind}" for event in analysis.events)

    def forget(self, camera: str) -> None:
        self._latest.pop(camera, None)

    def counts(self) -> Mapping[str, int]:
        """Events by camera, rule and kind, as three words."""
        return dict(self._events)

    def snapshot(self, camera: str) -> Snapshot | None:
        """Draws the camera's last packet; None where there is none. From any thread."""
        packet = self._latest.get(camera)
        outlines = of_camera(self._outlines, camera)
        return None if packet is None else draw(packet, self._labels, outlines)


def draw(
    packet: Packet[Tracked], labels: Sequence[str], outlines: Sequence[Outline] = ()
) -> Snapshot:
    """The picture of a packet with its tracks, as JPEG."""
    message = from_packet(packet, now_ns=time.monotonic_ns())
    annotator = Annotator(labels, trails_s=0, latency=True, outlines=outlines)
    drawn = annotator.draw(packet.payload.picture.bgr(), message)
    _, jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    frame = packet.frame
    return Snapshot(
        jpeg.tobytes(),
        {
            "camera": frame.camera,
            "frame": frame.index,
            "epoch": frame.epoch,
            "pts_ns": frame.pts_ns,
            "width": frame.width,
            "height": frame.height,
            "status": packet.status.name.lower(),
            "reason": packet.reason,
            "age_ms": message.age_ms,
            "tracks": len(message.tracks.ids),
        },
    )

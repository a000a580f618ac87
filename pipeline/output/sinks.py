"""The outputs as stages at the end of the graph: packets to messages, and out.

A sink is one copy in one worker: its files and sockets have one writer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.errors import OutputError, PacketError
from pipeline.media.writer import VideoWriter
from pipeline.output import jsonmessage, telegram
from pipeline.output.address import parse_address
from pipeline.output.annotate import Annotator
from pipeline.output.files import LineFile, PartFile
from pipeline.output.formats import HEADERS, LINES
from pipeline.output.message import SEQUENCE_MODULUS, Message, from_packet
from pipeline.output.proposals import with_proposals
from pipeline.output.spec import AnnotateSpec, FileSpec, OutputSpec, UdpSpec
from pipeline.output.udp import UdpSender
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Run, Sink

_IP_AND_UDP_HEADERS = 48  # IPv6's 40, which is the larger one, and UDP's 8
_NOMINAL_FPS = 25.0


class UdpSink(Sink[Tracked]):
    """Sends every frame's message; see docs/telegram.md.

    Args:
        spec: where to and how.
        labels: class names by label index, for JSON.
        session: told in every message.

    Raises:
        OutputError: the model has more classes than a telegram can number.
    """

    consumes = Tracked

    def __init__(self, spec: UdpSpec, labels: Sequence[str], session: int) -> None:
        if spec.format == "telegram" and len(labels) > telegram.MOST_LABELS:
            raise OutputError(
                f"udp.format: a telegram can number {telegram.MOST_LABELS} classes, the model has "
                f"{len(labels)}; use 'json'"
            )
        self._spec = spec
        self._labels = labels
        self._session = session
        self._payload = spec.mtu - _IP_AND_UDP_HEADERS
        self._encoder = telegram.Encoder(self._payload)
        self._next: Counter[str] = Counter()
        self._sender: UdpSender | None = None

    def open(self) -> None:
        self._sender = UdpSender(parse_address(self._spec.to))

    def write(self, packet: Packet[Tracked]) -> None:
        assert self._sender is not None  # the worker opened us
        camera = packet.frame.camera
        sequence = self._next[camera]
        self._next[camera] = (sequence + 1) % SEQUENCE_MODULUS
        message = from_packet(packet, self._session, sequence, time.monotonic_ns())
        for datagram in self._encode(message):
            self._sender.send(datagram)

    def _encode(self, message: Message) -> list[bytes]:
        if self._spec.format == "json":
            return jsonmessage.encode(message, self._labels, self._payload)
        try:
            return self._encoder.encode(message)
        except ValueError as error:
            raise PacketError("not_encodable", str(error)) from error

    def counts(self) -> Mapping[str, int]:
        """Datagrams ``sent``, and those that the network did not take, as ``lost <reason>``."""
        if self._sender is None:
            return {}
        lost = {f"lost {reason}": count for reason, count in dict(self._sender.lost).items()}
        return {"sent": self._sender.sent} | lost

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()


class FileSink(Sink[Tracked]):
    """Writes results into one file, or into one a camera where the path says ``{camera}``.

    Args:
        spec: path and format.
        cameras: ids of all cameras of the run.
        labels: class names by label index.

    Raises:
        OutputError: a MOT file for several cameras has no ``{camera}`` in its path.
    """

    consumes = Tracked

    def __init__(self, spec: FileSpec, cameras: Sequence[str], labels: Sequence[str]) -> None:
        self._format = spec.file_format
        self._paths = camera_paths(spec.path, cameras, shared=self._format != "mot")
        self._labels = labels
        self._files: dict[Path, LineFile] = {}

    def open(self) -> None:
        for path in sorted(set(self._paths.values())):
            self._files[path] = LineFile(path, HEADERS[self._format])

    def write(self, packet: Packet[Tracked]) -> None:
        lines = LINES[self._format](from_packet(packet), self._labels)
        self._files[self._paths[packet.frame.camera]].write(lines)

    def flush(self) -> Iterable[Packet[Any]]:
        _each([file.finish for file in self._files.values()])
        return ()

    def close(self) -> None:
        _each([file.close for file in self._files.values()])


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
        self._annotators = {
            camera: Annotator(labels, spec.trails_s, spec.latency) for camera in cameras
        }
        self._parts: dict[str, PartFile] = {}
        self._writers: dict[str, VideoWriter] = {}

    def open(self) -> None:
        for camera, path in self._paths.items():
            self._parts[camera] = PartFile(path)

    def write(self, packet: Packet[Tracked]) -> None:
        camera = packet.frame.camera
        message = from_packet(packet, now_ns=time.monotonic_ns())
        picture, proposals = packet.payload.picture.bgr(), packet.payload.proposals
        if proposals is not None and self._spec.proposals:
            picture = with_proposals(picture, proposals, self._spec.proposals, self._spec.anchors)
        drawn = self._annotators[camera].draw(picture, message)
        writer = self._writers.get(camera)
        if writer is None:
            writer = self._writers[camera] = self._open_video(camera, message)
        size = (writer.width, writer.height)
        if drawn.shape[1::-1] != size:  # the camera changed its resolution, a video cannot
            drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA).astype(
                np.uint8, copy=False
            )
        writer.write(drawn, message.pts_ns)

    def _open_video(self, camera: str, message: Message) -> VideoWriter:
        part = self._parts[camera].part
        return VideoWriter(part, message.width, message.height, _NOMINAL_FPS, crf=self._spec.crf)

    def flush(self) -> Iterable[Packet[Any]]:
        _each([writer.close for writer in self._writers.values()])
        _each([self._parts[camera].finish for camera in self._writers])
        return ()

    def close(self) -> None:
        parts = self._parts.values()
        _each([writer.close for writer in self._writers.values()] + [p.close for p in parts])


def _each(steps: Iterable[Callable[[], None]]) -> None:
    """Takes every step, also after one that failed; then raises the first failure."""
    failures = []
    for step in steps:
        try:
            step()
        except OutputError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def camera_paths(template: str, cameras: Sequence[str], *, shared: bool) -> dict[str, Path]:
    """The path of each camera's file.

    Args:
        template: a path that may contain ``{camera}``.
        shared: whether one file may hold several cameras.

    Raises:
        OutputError: several cameras would write one file that holds but one.
    """
    paths = {camera: Path(template.replace("{camera}", camera)) for camera in cameras}
    if not shared and len(set(paths.values())) < len(paths):
        path = Path(template)
        better = path.with_name("{camera}" + "".join(path.suffixes))
        raise OutputError(
            f"path {template!r} is one file for {len(cameras)} cameras, which this format cannot "
            f"hold; give each its own with {{camera}}, such as {str(better)!r}"
        )
    return paths


def sink_class(spec: OutputSpec) -> type[Sink[Tracked]]:
    """The class of an output's sink."""
    return UdpSink if spec.udp else FileSink if spec.file else AnnotateSink


def build_sink(
    spec: OutputSpec, cameras: Sequence[str], labels: Sequence[str], run: Run
) -> Sink[Tracked]:
    """Makes an output's sink; nothing is opened yet.

    Args:
        cameras: ids of all cameras of the run.
        labels: class names by label index.
        run: its session is told in every message.

    Raises:
        OutputError: the output does not fit the cameras.
    """
    if spec.udp is not None:
        return UdpSink(spec.udp, labels, run.session)
    if spec.file is not None:
        return FileSink(spec.file, cameras, labels)
    assert spec.annotate is not None  # an OutputSpec says exactly one
    return AnnotateSink(spec.annotate, cameras, labels)

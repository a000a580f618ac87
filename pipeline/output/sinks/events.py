"""What happened: a line an event, and pictures of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.output.eventlines import CSV_HEADER, csv_line, jsonl_line, record
from pipeline.output.evidence import Album, Files
from pipeline.output.files import LineFile
from pipeline.output.message import Message, from_packet
from pipeline.output.overlay import Outline, of_camera
from pipeline.output.recorder import Recorder
from pipeline.output.series import START, in_name
from pipeline.output.sinks.recording import RecordingSink, camera_row, camera_rows
from pipeline.output.spec import EventsSpec
from pipeline.packet import Packet
from pipeline.payloads import Tracked


class EventsSink(RecordingSink[str]):
    """Writes a line an event into one file, or into one a camera where the path says ``{camera}``.

    Args:
        spec: path; the suffix tells the format.
        cameras: ids of all cameras of the run.
        labels: class names by label index.
    """

    def __init__(self, spec: EventsSpec, cameras: Sequence[str], labels: Sequence[str]) -> None:
        super().__init__(spec.path, cameras, shared=True)
        self._spec = spec
        self._labels = labels
        self._events = 0
        is_csv = spec.path.lower().endswith(".csv")
        self._header = CSV_HEADER if is_csv else ""
        self._line: Callable[[dict[str, Any]], str] = csv_line if is_csv else jsonl_line

    def _recorder(self, row: str) -> Recorder[str]:
        return Recorder(row, self._spec, lambda path: LineFile(path, self._header))

    def write(self, packet: Packet[Tracked]) -> None:
        message = from_packet(packet)
        events = message.analysis.events if message.analysis is not None else ()
        if not events:
            return
        lines = []
        for event, files in zip(events, self._pictures(packet, message), strict=True):
            values = record(message, event, self._labels, files.picture, files.crop)
            lines.append(self._line(values))
        self._record(message.camera, "".join(lines))
        self._events += len(lines)

    def _pictures(self, packet: Packet[Tracked], message: Message) -> Sequence[Files]:
        """The pictures of each of the message's events."""
        assert message.analysis is not None  # by write
        return [Files()] * len(message.analysis.events)

    def counts(self) -> Mapping[str, int]:
        """How many ``events`` are in the files; as `RecordingSink.counts`."""
        return {"events": self._events, **super().counts()}


class EvidenceSink(EventsSink):
    """Takes pictures of each event as well.

    Args:
        spec: as `EventsSink`; says ``pictures``.
        cameras: as `EventsSink`.
        labels: as `EventsSink`.
        outlines: of the rules' lines and zones, to be drawn.

    Raises:
        OutputError: there are several cameras, and no ``{camera}`` in ``pictures``.
    """

    looks = True

    def __init__(
        self,
        spec: EventsSpec,
        cameras: Sequence[str],
        labels: Sequence[str],
        outlines: Sequence[Outline] = (),
    ) -> None:
        super().__init__(spec, cameras, labels)
        assert spec.pictures is not None  # else an EventsSink does
        camera_rows(spec.pictures, cameras, shared=False)
        self._cameras = list(cameras)
        self._outlines = outlines
        self._folder = spec.pictures
        self._albums: dict[str, Album] = {}
        self._missing = 0  # pictures of cameras that are gone

    def open(self) -> None:
        for camera in self._cameras:
            self._begin_album(camera)
        super().open()

    def _recorder(self, row: str) -> Recorder[str]:
        def make(path: Path) -> LineFile:
            for camera, album in list(self._albums.items()):
                if self._rows.get(camera) == row:
                    album.tidy()
            return LineFile(path, self._header)

        return Recorder(row, self._spec, make)

    def _begin_album(self, camera: str) -> None:
        folder = Path(camera_row(self._folder, camera))
        begun = f"{in_name(datetime.now(UTC))}-" if START in self._spec.path else ""
        told_from = Path(camera_row(self._template, camera)).parent
        outlines = of_camera(self._outlines, camera)
        album = Album(folder, told_from, begun, self._spec, self._labels, outlines)
        self._albums[camera] = album

    def expect(self, camera: str) -> None:
        self._begin_album(camera)
        super().expect(camera)

    def forget(self, camera: str) -> None:
        if (album := self._albums.pop(camera, None)) is not None:
            self._missing += album.room.missing
        super().forget(camera)

    def _pictures(self, packet: Packet[Tracked], message: Message) -> Sequence[Files]:
        assert message.analysis is not None  # by write
        album, picture = self._albums[message.camera], packet.payload.picture
        return [album.add(picture, message, event) for event in message.analysis.events]

    def counts(self) -> Mapping[str, int]:
        """As `EventsSink.counts`; and the ``pictures missing``, as they could not be written."""
        missing = self._missing + sum(a.room.missing for a in list(self._albums.values()))
        return {**super().counts(), **({"pictures missing": missing} if missing else {})}

"""Results as lines of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.output.files import LineFile
from pipeline.output.formats import HEADERS, LINES
from pipeline.output.message import from_packet
from pipeline.output.recorder import Recorder
from pipeline.output.sinks.rows import camera_row, camera_rows, each, recording_counts
from pipeline.output.spec import FileSpec
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink


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
        self._spec = spec
        self._format = spec.file_format
        self._rows = camera_rows(spec.path, cameras, shared=self._format != "mot")
        self._labels = labels
        self._recorders: dict[str, Recorder[str]] = {}

    def open(self) -> None:
        for row in sorted(set(self._rows.values())):
            self._begin(row)

    def _begin(self, row: str) -> None:
        if row not in self._recorders:
            header = HEADERS[self._format]
            recorder = Recorder(row, self._spec, lambda path: LineFile(path, header))
            recorder.open()
            self._recorders[row] = recorder

    def expect(self, camera: str) -> None:
        self._rows[camera] = camera_row(self._spec.path, camera)
        self._begin(self._rows[camera])

    def forget(self, camera: str) -> None:
        row = self._rows.pop(camera, None)
        if row in self._rows.values() or row not in self._recorders:
            return
        recorder = self._recorders.pop(row)
        each([recorder.close] if recorder.empty else [recorder.finish])

    def write(self, packet: Packet[Tracked]) -> None:
        lines = LINES[self._format](from_packet(packet), self._labels)
        self._recorders[self._rows[packet.frame.camera]].write(lines)

    def flush(self) -> Iterable[Packet[Any]]:
        each([recorder.finish for recorder in self._recorders.values()])
        return ()

    def counts(self) -> Mapping[str, int]:
        """Frames ``missing`` as the disk was full, and how many files are ``paused`` by that."""
        return recording_counts(self._recorders.values())

    def close(self) -> None:
        each([recorder.close for recorder in self._recorders.values()])

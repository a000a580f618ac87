"""Results as lines of files."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.output.files import LineFile
from pipeline.output.formats import HEADERS, LINES
from pipeline.output.message import from_packet
from pipeline.output.recorder import Recorder
from pipeline.output.sinks.recording import RecordingSink
from pipeline.output.spec import FileSpec
from pipeline.packet import Packet
from pipeline.payloads import Tracked


class FileSink(RecordingSink[str]):
    """Writes results into one file, or into one a camera where the path says ``{camera}``.

    Args:
        spec: path and format.
        cameras: ids of all cameras of the run.
        labels: class names by label index.

    Raises:
        OutputError: a MOT file for several cameras has no ``{camera}`` in its path.
    """

    def __init__(self, spec: FileSpec, cameras: Sequence[str], labels: Sequence[str]) -> None:
        self._format = spec.file_format
        super().__init__(spec.path, cameras, shared=self._format != "mot")
        self._spec = spec
        self._labels = labels

    def _recorder(self, row: str) -> Recorder[str]:
        header = HEADERS[self._format]
        return Recorder(row, self._spec, lambda path: LineFile(path, header))

    def write(self, packet: Packet[Tracked]) -> None:
        lines = LINES[self._format](from_packet(packet), self._labels)
        self._record(packet.frame.camera, lines)

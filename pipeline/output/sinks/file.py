"""Results in files."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.output.formats import SHARED, message_file
from pipeline.output.message import Message, from_packet
from pipeline.output.recorder import Recorder
from pipeline.output.sinks.recording import RecordingSink
from pipeline.output.spec import FileSpec
from pipeline.packet import Packet
from pipeline.payloads import Tracked


class FileSink(RecordingSink[Message]):
    """Writes results into one file, or into one a camera where the path says ``{camera}``.

    Args:
        spec: path and format.
        cameras: ids of all cameras of the run.
        labels: class names by label index.

    Raises:
        OutputError: several cameras, a format that holds but one, and no ``{camera}`` in the path.
    """

    def __init__(self, spec: FileSpec, cameras: Sequence[str], labels: Sequence[str]) -> None:
        super().__init__(spec.path, cameras, shared=spec.file_format in SHARED)
        self._spec = spec
        self._labels = labels

    def _recorder(self, row: str) -> Recorder[Message]:
        spec, labels = self._spec, self._labels
        return Recorder(row, spec, lambda path: message_file(path, spec.file_format, labels))

    def write(self, packet: Packet[Tracked]) -> None:
        self._record(packet.frame.camera, from_packet(packet))

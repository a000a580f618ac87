"""Results as lines of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.output.files import LineFile
from pipeline.output.formats import HEADERS, LINES
from pipeline.output.message import from_packet
from pipeline.output.sinks.paths import camera_path, camera_paths, each
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
        self._template = spec.path
        self._format = spec.file_format
        self._paths = camera_paths(spec.path, cameras, shared=self._format != "mot")
        self._labels = labels
        self._files: dict[Path, LineFile] = {}

    def open(self) -> None:
        for path in sorted(set(self._paths.values())):
            self._claim(path)

    def _claim(self, path: Path) -> None:
        if path not in self._files:
            self._files[path] = LineFile(path, HEADERS[self._format])

    def expect(self, camera: str) -> None:
        self._paths[camera] = camera_path(self._template, camera)
        self._claim(self._paths[camera])

    def forget(self, camera: str) -> None:
        path = self._paths.pop(camera, None)
        if path in self._paths.values() or path not in self._files:
            return
        file = self._files.pop(path)
        each([file.close] if file.empty else [file.finish, file.close])

    def write(self, packet: Packet[Tracked]) -> None:
        lines = LINES[self._format](from_packet(packet), self._labels)
        self._files[self._paths[packet.frame.camera]].write(lines)

    def flush(self) -> Iterable[Packet[Any]]:
        each([file.finish for file in self._files.values()])
        return ()

    def close(self) -> None:
        each([file.close for file in self._files.values()])

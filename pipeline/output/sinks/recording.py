"""Sinks that write a file, or a row of files, for each camera or for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.errors import OutputError
from pipeline.output.recorder import Recorder
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink

Item = TypeVar("Item")


class RecordingSink(Sink[Tracked], Generic[Item]):
    """Keeps a recorder for each row of files, while cameras come and go.

    Args:
        template: path of the files; may contain ``{camera}``.
        cameras: ids of all cameras of the run.
        shared: whether one file may hold several cameras.

    Raises:
        OutputError: several cameras would write one file that holds but one.
    """

    consumes = Tracked

    def __init__(self, template: str, cameras: Sequence[str], *, shared: bool) -> None:
        self._template = template
        self._rows = camera_rows(template, cameras, shared=shared)
        self._recorders: dict[str, Recorder[Item]] = {}

    @abstractmethod
    def _recorder(self, row: str) -> Recorder[Item]:
        """What writes the files of a row; not opened yet."""

    def _record(self, camera: str, item: Item) -> None:
        self._recorders[self._rows[camera]].write(item)

    def open(self) -> None:
        for row in sorted(set(self._rows.values())):
            self._begin(row)

    def _begin(self, row: str) -> None:
        if row not in self._recorders:
            recorder = self._recorder(row)
            recorder.open()
            self._recorders[row] = recorder

    def expect(self, camera: str) -> None:
        self._rows[camera] = camera_row(self._template, camera)
        self._begin(self._rows[camera])

    def forget(self, camera: str) -> None:
        row = self._rows.pop(camera, None)
        if row in self._rows.values() or row not in self._recorders:
            return
        recorder = self._recorders.pop(row)
        each([recorder.close] if recorder.empty else [recorder.finish])

    def flush(self) -> Iterable[Packet[Any]]:
        each([recorder.finish for recorder in self._recorders.values()])
        return ()

    def counts(self) -> Mapping[str, int]:
        """Frames ``missing`` as the disk was full, and how many files are ``paused`` by that."""
        rooms = [recorder.room for recorder in list(self._recorders.values())]
        missing = sum(room.missing for room in rooms)
        return {"missing": missing, "paused": sum(room.paused for room in rooms)} if missing else {}

    def close(self) -> None:
        each([recorder.close for recorder in self._recorders.values()])


def each(steps: Iterable[Callable[[], None]]) -> None:
    """Takes every step, also after one that failed; then raises the first failure."""
    failures = []
    for step in steps:
        try:
            step()
        except OutputError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def camera_row(template: str, camera: str) -> str:
    """The path of one camera's files."""
    return template.replace("{camera}", camera)


def camera_rows(template: str, cameras: Sequence[str], *, shared: bool) -> dict[str, str]:
    """The path of each camera's files.

    Args:
        template: a path that may contain ``{camera}``.
        shared: whether one file may hold several cameras.

    Raises:
        OutputError: several cameras would write one file that holds but one.
    """
    rows = {camera: camera_row(template, camera) for camera in cameras}
    if not shared and len(set(rows.values())) < len(rows):
        path = Path(template)
        better = path.with_name("{camera}" + "".join(path.suffixes))
        raise OutputError(
            f"path {template!r} is one file for {len(cameras)} cameras, which this format cannot "
            f"hold; give each its own with {{camera}}, such as {str(better)!r}"
        )
    return rows

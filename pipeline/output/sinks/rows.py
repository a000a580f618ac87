"""A row of files for each camera, and what is done with every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.output.recorder import Recorder


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


def recording_counts(recorders: Iterable[Recorder[Any]]) -> dict[str, int]:
    """What the recorders count, together; nothing where nothing ever was missing."""
    rooms = [recorder.room for recorder in list(recorders)]
    missing = sum(room.missing for room in rooms)
    return {"missing": missing, "paused": sum(room.paused for room in rooms)} if missing else {}


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

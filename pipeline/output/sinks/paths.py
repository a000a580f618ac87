"""A file for each camera, and what is done with every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pipeline.errors import OutputError


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


def camera_path(template: str, camera: str) -> Path:
    """The path of one camera's file."""
    return Path(template.replace("{camera}", camera))


def camera_paths(template: str, cameras: Sequence[str], *, shared: bool) -> dict[str, Path]:
    """The path of each camera's file.

    Args:
        template: a path that may contain ``{camera}``.
        shared: whether one file may hold several cameras.

    Raises:
        OutputError: several cameras would write one file that holds but one.
    """
    paths = {camera: camera_path(template, camera) for camera in cameras}
    if not shared and len(set(paths.values())) < len(paths):
        path = Path(template)
        better = path.with_name("{camera}" + "".join(path.suffixes))
        raise OutputError(
            f"path {template!r} is one file for {len(cameras)} cameras, which this format cannot "
            f"hold; give each its own with {{camera}}, such as {str(better)!r}"
        )
    return paths

"""A folder or list of image files as a source."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import SourceError
from pipeline.media.picture import BgrPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo
from pipeline.media.steady import Steady

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"}
)


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sorts ``img2`` before ``img10``.

    >>> sorted(map(Path, ["b1", "a10", "a2"]), key=natural_key) == [*map(Path, ["a2", "a10", "b1"])]
    True
    """
    parts = re.findall(r"\d+|\D+", str(path))
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder in natural order.

    Raises:
        SourceError: there is none.
    """
    images = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise SourceError(
            f"{folder}: no image in this folder; expected {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return sorted(images, key=natural_key)


class ImageSource(Source):
    """Plays image files, one each 1/fps seconds.

    An unreadable image is counted as ``unreadable_image``; its moment stays empty.

    Args:
        paths: in the order of playing, not empty.
        fps: images per second.
        name: what is shown in messages.
        start_s: first moment wanted, seconds.
        end_s: first moment not wanted any more.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        fps: float,
        name: str,
        start_s: float = 0.0,
        end_s: float | None = None,
    ) -> None:
        super().__init__()
        self._paths, self._name = paths, name
        self._steady = Steady(fps, start_s, end_s)
        self._interrupted = threading.Event()
        self._frames: Iterator[SourceFrame] = iter(())

    def open(self) -> SourceInfo:
        frames = self._decode()
        first = next(frames, None)
        if first is None:
            raise SourceError(f"{self._name}: {self._nothing()}")
        self._frames = chain((first,), frames)
        count = len(self._paths)
        return SourceInfo(
            first.picture.width,
            first.picture.height,
            self._steady.fps,
            count,
            self._steady.pts_ns(count),
            self._paths[first.index].suffix[1:].lower(),
            False,
            "opencv imgcodecs",
        )

    def frames(self) -> Iterator[SourceFrame]:
        return self._frames

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self._frames = iter(())

    def _nothing(self) -> str:
        wanted = [self._paths[index] for index in self._steady.wanted(len(self._paths))]
        if not wanted:
            return f"no image from {self._steady.start_s:g} s on, there are {len(self._paths)}"
        return (
            f"none of the {len(wanted)} images can be read; "
            f"check that they are complete, first {wanted[0].name}"
        )

    def _decode(self) -> Iterator[SourceFrame]:
        for index in self._steady.wanted(len(self._paths)):
            if self._interrupted.is_set():
                return
            path = self._paths[index]
            try:
                data = np.fromfile(path, np.uint8)
            except OSError:
                data = np.empty(0, np.uint8)
            # Decoding from memory keeps OpenCV from printing warnings of its own.
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            if image is None:
                self._faults["unreadable_image"] += 1
                continue
            picture = BgrPicture(np.asarray(image, np.uint8))
            yield SourceFrame(index, self._steady.pts_ns(index), picture)

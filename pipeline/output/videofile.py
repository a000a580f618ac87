"""A video that is written under a temporary name."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.media.fragments import cut_to_fragments
from pipeline.media.writer import VideoWriter
from pipeline.output.files import PartFile

_NOMINAL_FPS = 25.0

#: A BGR picture, (height, width, 3) uint8, and its time in nanoseconds.
Shot = tuple[NDArray[np.uint8], int]


class VideoFile:
    """H.264 in fragmented MP4, as large as its first picture.

    Args:
        path: as `PartFile`.
        crf: quality, 0 (lossless) to 51.
        from_zero: whether its time begins with its first picture.

    Raises:
        OutputError: as `PartFile`.
    """

    def __init__(self, path: Path, crf: int, from_zero: bool) -> None:
        self._part = PartFile(path)
        self._crf = crf
        self._from_zero = from_zero
        self._first_ns = 0
        self._written = 0
        self._writer: VideoWriter | None = None

    @property
    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self._part.fd).st_size

    @property
    def empty(self) -> bool:
        """Whether nothing was written yet."""
        return not self._written

    def write(self, shot: Shot) -> None:
        """Appends a picture; one of another size is scaled.

        Raises:
            OutputError: it cannot be written, and nor can any later one; `cut` it.
        """
        image_bgr, pts_ns = shot
        height, width = image_bgr.shape[:2]
        if self._writer is None:
            self._first_ns = pts_ns if self._from_zero else 0
            self._writer = VideoWriter(self._part.part, width, height, _NOMINAL_FPS, crf=self._crf)
        writer = self._writer
        if (width, height) != (writer.width, writer.height):
            size = writer.width, writer.height  # the camera changed, a video cannot
            scaled = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
            image_bgr = scaled.astype(np.uint8, copy=False)
        writer.write(image_bgr, pts_ns - self._first_ns)
        self._written += 1

    def cut(self) -> int:
        """Cuts it behind its last whole fragment; see `Recording.cut`."""
        try:
            pictures = cut_to_fragments(self._part.part)
        except OSError as error:
            raise OutputError(f"{self._part.part}: cannot be cut: {error.strerror}") from error
        lost, self._written = self._written - pictures, pictures
        return lost

    def finish(self, missing: int = 0) -> bool:
        """Gives the video its name; without a picture there is none.

        Raises:
            OutputError: the disk is full, and it is to be `cut`; or as `PartFile.finish`.
        """
        if self._writer is not None:
            self._writer.close()
        if self._written:
            self._part.finish(missing)
        return self._written > 0

    def close(self) -> None:
        """As `PartFile.close`."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._part.close()

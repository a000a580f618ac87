"""A decoded picture, kept as it came from the decoder until somebody needs pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StageError
from pipeline.media.color import BT601, YuvColor, yuv_to_bgr
from pipeline.media.orientation import UPRIGHT, Orientation


class Picture(ABC):
    """One picture. Immutable, may be read from several threads at once.

    Attributes:
        width: in pixels, as a person sees it (after rotation).
        height: in pixels, as a person sees it (after rotation).
    """

    __slots__ = ("height", "width")

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Of the picture as it is stored."""

    @abstractmethod
    def bgr(self) -> NDArray[np.uint8]:
        """The whole picture, (height, width, 3) uint8 BGR; the caller must not write into it.

        Converted anew by each call: one consumer in a hundred frames needs it, and a kept copy
        would double the memory of every frame in flight.
        """

    @abstractmethod
    def gray(self) -> NDArray[np.uint8]:
        """The brightness of the whole picture, (height, width) uint8; not to be written into.

        As it is stored, without a copy, where it is: black and white may then be 16 and 235.
        """

    @abstractmethod
    def resized_bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled to (height, width, 3) uint8 BGR; the caller owns the array."""

    @abstractmethod
    def crop_bgr(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
        """The part [y1:y2, x1:x2] at full resolution, uint8 BGR; inside the picture, not empty.

        The caller must not write into it.
        """


class NoPicture(Picture):
    """The size of a picture that was not kept, where nobody is to look at it again.

    Whoever does gets a `StageError`.
    """

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        return 0

    def bgr(self) -> NDArray[np.uint8]:
        raise _not_kept()

    def gray(self) -> NDArray[np.uint8]:
        raise _not_kept()

    def resized_bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        raise _not_kept()

    def crop_bgr(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
        raise _not_kept()


def _not_kept() -> StageError:
    return StageError(
        "this frame's picture was not kept, as no stage here says that it looks at pictures; "
        "set `looks = True` in the class of the one that does"
    )


class BgrPicture(Picture):
    """A picture that exists as BGR already (image files, rendered scenes, RGB codecs).

    Args:
        image_bgr: (height, width, 3) uint8; owned by the picture from now on.
    """

    __slots__ = ("_bgr",)

    def __init__(self, image_bgr: NDArray[np.uint8]) -> None:
        super().__init__(image_bgr.shape[1], image_bgr.shape[0])
        self._bgr = image_bgr
        self._bgr.setflags(write=False)

    @property
    def nbytes(self) -> int:
        return self._bgr.nbytes

    def bgr(self) -> NDArray[np.uint8]:
        return self._bgr

    def gray(self) -> NDArray[np.uint8]:
        return np.asarray(cv2.cvtColor(self._bgr, cv2.COLOR_BGR2GRAY), np.uint8)

    def resized_bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return _resized(self._bgr, width, height)

    def crop_bgr(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
        return self._bgr[y1:y2, x1:x2]


class YuvPicture(Picture):
    """A picture as planes of luma and (usually subsampled) chroma.

    Scaling the three planes and converting the small picture costs a third of converting the whole
    picture and scaling that, and differs from it by rounding only.

    Args:
        y: (h, w) uint8 luma, as stored (before rotation).
        u: (h / sy, w / sx) uint8 chroma, rounded up.
        v: as `u`.
        color: what the numbers mean.
        orientation: how to turn the stored picture upright.
    """

    __slots__ = ("_color", "_orientation", "_u", "_v", "_y")

    def __init__(
        self,
        y: NDArray[np.uint8],
        u: NDArray[np.uint8],
        v: NDArray[np.uint8],
        color: YuvColor = BT601,
        orientation: Orientation = UPRIGHT,
    ) -> None:
        super().__init__(*orientation.size(y.shape[1], y.shape[0]))
        self._y, self._u, self._v = y, u, v
        self._color = color
        self._orientation = orientation

    def parts(
        self,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], YuvColor, Orientation]:
        """What it was made of, in the order of the constructor; the planes only to be read."""
        return self._y, self._u, self._v, self._color, self._orientation

    @property
    def nbytes(self) -> int:
        return self._y.nbytes + self._u.nbytes + self._v.nbytes

    def bgr(self) -> NDArray[np.uint8]:
        return self._upright(self._y, self._u, self._v)

    def gray(self) -> NDArray[np.uint8]:
        return self._orientation.apply(self._y)

    def resized_bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        columns, rows = self._orientation.size(width, height)
        # Chroma at half size has a fast conversion; an odd picture has no half.
        half = columns % 2 == 0 and rows % 2 == 0
        chroma = (columns // 2, rows // 2) if half else (columns, rows)
        return self._upright(
            _resized(self._y, columns, rows),
            _resized(self._u, *chroma),
            _resized(self._v, *chroma),
        )

    def crop_bgr(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
        x1, y1, x2, y2 = self._orientation.stored_box(x1, y1, x2, y2, self.width, self.height)
        sx, sy = -(-self._y.shape[1] // self._u.shape[1]), -(-self._y.shape[0] // self._u.shape[0])
        # Whole chroma samples are converted, so that a crop equals the same part of `bgr`.
        left, right, top, bottom = x1 // sx, -(-x2 // sx), y1 // sy, -(-y2 // sy)
        whole = yuv_to_bgr(
            self._y[top * sy : bottom * sy, left * sx : right * sx],
            self._u[top:bottom, left:right],
            self._v[top:bottom, left:right],
            self._color,
        )
        part = whole[y1 - top * sy : y2 - top * sy, x1 - left * sx : x2 - left * sx]
        return self._orientation.apply(part)

    def _upright(
        self, y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        return self._orientation.apply(yuv_to_bgr(y, u, v, self._color))


def _resized(plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """A scaled copy, also where the size stays the same."""
    out = np.empty((height, width, *plane.shape[2:]), np.uint8)
    cv2.resize(plane, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
    return out

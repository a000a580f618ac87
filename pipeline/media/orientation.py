"""How a stored picture has to be turned so that a person sees it upright."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a rectangle on itself: transpose first, then flip.

    Attributes:
        transposed: rows become columns.
        flip_x: left and right are exchanged, after transposing.
        flip_y: top and bottom are exchanged, after transposing.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @staticmethod
    def from_display_matrix(data: bytes) -> Orientation:
        """Reads the matrix that a file carries (ISO/IEC 14496-12, 8.3.2; 8.2.2 for its layout).

        Args:
            data: nine native-endian int32 ``a b u c d v x y w``; a stored point (p, q) is shown
                at (a·p + c·q + x, b·p + d·q + y). An angle in between is taken as the nearest
                quarter turn.

        Raises:
            ValueError: `data` has not 36 bytes.
        """
        if len(data) != 36:
            raise ValueError(f"expected a display matrix of 36 bytes, got {len(data)}")
        a, b, _, c, d, *_ = struct.unpack("=9i", data)
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return Orientation(False, a < 0, d < 0)
        return Orientation(True, c < 0, b < 0)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after (or, the same, before) turning."""
        return (height, width) if self.transposed else (width, height)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The turned picture, (h, w) or (h, w, 3) uint8; `image` itself if nothing is to turn."""
        if self.transposed:
            image = np.ascontiguousarray(image.swapaxes(0, 1))
        if not (self.flip_x or self.flip_y):
            return image
        flipped = np.empty_like(image)
        cv2.flip(image, -1 if self.flip_x and self.flip_y else int(self.flip_x), dst=flipped)
        return flipped

    def stored_box(
        self, x1: int, y1: int, x2: int, y2: int, width: int, height: int
    ) -> tuple[int, int, int, int]:
        """Where a box of the upright picture (`width`, `height`) lies in the stored one."""
        if self.flip_x:
            x1, x2 = width - x2, width - x1
        if self.flip_y:
            y1, y2 = height - y2, height - y1
        return (y1, x1, y2, x2) if self.transposed else (x1, y1, x2, y2)


UPRIGHT = Orientation()

"""A decoded picture, kept as it came from the decoder until somebody needs pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


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

    @abstractmethod
    def bgr(self) -> NDArray[np.uint8]:
        """The whole picture, (height, width, 3) uint8 BGR; the caller must not write into it."""

    @abstractmethod
    def resized_bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled to (height, width, 3) uint8 BGR; the caller owns the array."""

    @abstractmethod
    def crop_bgr(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
        """The part [y1:y2, x1:x2] at full resolution, uint8 BGR; inside the picture, not empty."""

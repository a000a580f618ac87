"""What the numbers of a decoded picture mean as colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class YuvColor:
    """How Y, U and V become red, green and blue (ITU-T H.273, clause 8.3).

    Attributes:
        kr: weight of red in luma.
        kb: weight of blue in luma.
        full_range: Y, U and V use 0..255; otherwise Y uses 16..235 and U, V use 16..240.
    """

    kr: float
    kb: float
    full_range: bool = False

    def to_bgr_matrix(self) -> NDArray[np.float64]:
        """The (3, 4) affine map from (Y, U, V, 1) to (B, G, R), all in 0..255."""
        black, luma, chroma = (0, 1.0, 1.0) if self.full_range else (16, 255 / 219, 255 / 224)
        kg = 1 - self.kr - self.kb
        to_red, to_blue = 2 * (1 - self.kr) * chroma, 2 * (1 - self.kb) * chroma
        mix = np.array(
            [
                [luma, to_blue, 0],
                [luma, -to_blue * self.kb / kg, -to_red * self.kr / kg],
                [luma, 0, to_red],
            ]
        )
        return np.column_stack([mix, -mix @ [black, 128, 128]])


BT601 = YuvColor(0.299, 0.114)
BT601_FULL = YuvColor(0.299, 0.114, full_range=True)
BT709 = YuvColor(0.2126, 0.0722)
BT709_FULL = YuvColor(0.2126, 0.0722, full_range=True)


@cache
def _matrix(color: YuvColor) -> NDArray[np.float32]:
    matrix = color.to_bgr_matrix().astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def yuv_to_bgr(
    y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], color: YuvColor
) -> NDArray[np.uint8]:
    """Converts planes to (h, w, 3) uint8 BGR; the caller owns the array.

    A chroma sample colours all the luma samples it covers, as in the usual decoders.

    Args:
        y: (h, w).
        u: (h, w), or smaller where chroma is subsampled.
        v: as `u`.
        color: what the numbers mean.
    """
    height, width = y.shape
    bgr = np.empty((height, width, 3), np.uint8)
    if color == BT601 and u.shape == (height / 2, width / 2):
        # OpenCV has this one, the commonest, built in at half the cost of the general case.
        cv2.cvtColorTwoPlane(y, cv2.merge((u, v)), cv2.COLOR_YUV2BGR_NV12, dst=bgr)
        return bgr
    if u.shape != y.shape:
        u, v = (_spread(plane, width, height) for plane in (u, v))
    cv2.transform(cv2.merge((y, u, v)), _matrix(color), dst=bgr)
    return bgr


def _spread(plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    spread = np.empty((height, width), np.uint8)
    cv2.resize(plane, (width, height), dst=spread, interpolation=cv2.INTER_NEAREST)
    return spread

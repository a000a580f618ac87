"""Where objects were, and for how long."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_COLUMNS = 96
#: Of the colours over the picture, at the hottest place.
_COVER = 0.85
#: Less than a frame.
_NOTHING_S = 0.01
#: From the least to the most, BGR: what is faint stays dark, so that nothing there is nothing seen.
_COLORS = np.array(
    [(90, 20, 20), (160, 60, 60), (150, 60, 190), (70, 110, 240), (60, 200, 255), (200, 250, 255)]
)


def grid(width: int, height: int) -> NDArray[np.float64]:
    """Empty cells over a picture, about square, (rows, columns)."""
    return np.zeros((max(1, round(_COLUMNS * height / max(width, 1))), _COLUMNS))


def heat_picture(seconds: NDArray[np.float64], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The cells in colours over a grey picture.

    Colours follow the square root of the time, and end with the hottest hundredth of the cells, so
    that ways show beside places where somebody stands.

    Args:
        seconds: (rows, columns) that feet were in each cell.
        background: (height, width, 3) uint8 BGR.

    Returns:
        As large as `background`.
    """
    size = background.shape[1::-1]
    smooth = cv2.GaussianBlur(seconds, (0, 0), 1.2)
    there = smooth[smooth > _NOTHING_S]
    hottest = float(np.quantile(there, 0.99)) if there.size else 1.0
    level = cv2.resize(np.sqrt(smooth / hottest), size, interpolation=cv2.INTER_LINEAR)
    level = np.clip(level, 0.0, 1.0)
    places = np.linspace(0.0, 1.0, len(_COLORS))
    color = np.stack([np.interp(level, places, _COLORS[:, i]) for i in range(3)], axis=-1)
    cover = _COVER * np.minimum(1.0, 2.5 * level)[..., None]
    grey = cv2.cvtColor(background, cv2.COLOR_BGR2GRAY)[..., None] * 0.75
    mixed: NDArray[np.uint8] = (cover * color + (1 - cover) * grey).round().astype(np.uint8)
    return mixed

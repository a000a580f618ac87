"""Names for the colours of the rendered world, which are continuous.

A colour of little chroma (largest minus smallest of R, G and B) has no hue that anybody sees: it is
black, grey or white by its value (the largest of them), the range of which is cut in three. Any
other is named after the middle of its sixth of the hue circle, which red, yellow, green, cyan, blue
and magenta divide evenly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLOURS = ("black", "grey", "white", "red", "yellow", "green", "cyan", "blue", "magenta")
_LEAST_CHROMA = 30
_HUES = 6


def named(colours_bgr: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the index into `COLOURS` of each colour (N, 3), as (N,)."""
    b, g, r = colours_bgr.astype(np.float64).T
    value, chroma = np.maximum(np.maximum(b, g), r), np.ptp(colours_bgr, axis=1).astype(np.float64)
    span = np.maximum(chroma, 1)
    hue = np.select(
        [value == r, value == g], [(g - b) / span, 2 + (b - r) / span], 4 + (r - g) / span
    )
    achromatic = np.minimum(value // 85, 2)
    chromatic = 3 + np.rint(hue) % _HUES
    return np.where(chroma < _LEAST_CHROMA, achromatic, chromatic).astype(np.int64)

"""Where a picture lies in a network's input, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Placement:
    """How source pixels map to network input pixels: ``input = source * scale + offset``.

    Attributes:
        input_width: of the network input, pixels.
        input_height: of the network input, pixels.
        source_width: of the picture, pixels.
        source_height: of the picture, pixels.
        resized_width: of the picture inside the input, pixels.
        resized_height: of the picture inside the input, pixels.
        left: of the picture inside the input, pixels.
        top: of the picture inside the input, pixels.
    """

    input_width: int
    input_height: int
    source_width: int
    source_height: int
    resized_width: int
    resized_height: int
    left: int = 0
    top: int = 0

    def to_source(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (N, 4) from input pixels to source pixels, clipped to the picture; a new array."""
        sx = self.source_width / self.resized_width
        sy = self.source_height / self.resized_height
        out = np.empty_like(boxes_xyxy, dtype=np.float32)
        np.clip((boxes_xyxy[:, 0::2] - self.left) * sx, 0, self.source_width, out=out[:, 0::2])
        np.clip((boxes_xyxy[:, 1::2] - self.top) * sy, 0, self.source_height, out=out[:, 1::2])
        return out

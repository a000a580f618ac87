"""Where a picture lies in a network's input, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

    def to_input(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (N, 4) from source pixels to input pixels, not clipped; a new array."""
        sx = self.resized_width / self.source_width
        sy = self.resized_height / self.source_height
        out = np.empty_like(boxes_xyxy, dtype=np.float32)
        out[:, 0::2] = boxes_xyxy[:, 0::2] * sx + self.left
        out[:, 1::2] = boxes_xyxy[:, 1::2] * sy + self.top
        return out


def place(
    source_width: int,
    source_height: int,
    input_width: int,
    input_height: int,
    *,
    resize: Literal["letterbox", "stretch"] = "letterbox",
    align: Literal["top_left", "center"] = "top_left",
) -> Placement:
    """Lays a picture into a network's input.

    A letterboxed picture is scaled by r = min(input_width / source_width, input_height /
    source_height), its sides rounded down (at least one pixel), as YOLOX does. Centred, an odd
    remainder puts its extra pixel to the right and below. `stretch` fills the whole input.
    """
    width, height = input_width, input_height
    if resize == "letterbox":
        # In integers: a product that is whole, such as 640 * 0.65, must not become 415.99….
        if input_width * source_height <= input_height * source_width:
            height = max(1, source_height * input_width // source_width)
        else:
            width = max(1, source_width * input_height // source_height)
    left, top = 0, 0
    if align == "center":
        left, top = (input_width - width) // 2, (input_height - height) // 2
    return Placement(
        input_width, input_height, source_width, source_height, width, height, left, top
    )

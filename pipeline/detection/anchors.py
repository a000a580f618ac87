"""Anchors: the boxes that a proposal network's outputs are counted from.

Ren et al., "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks",
arXiv:1506.01497, section 3.1.1; with several levels, Lin et al., "Feature Pyramid Networks",
arXiv:1612.03144, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of one feature map: the same few boxes at every cell.

    Attributes:
        sizes: square roots of the areas, pixels; a map of a pyramid often has one.
        ratios: height over width.
        stride: pixels between two cells.
        offset: of the centre from a cell's top left corner, in cells; 0.5 is the cell's middle.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    stride: int
    offset: float = 0.0

    @property
    def per_cell(self) -> int:
        """How many there are at a cell."""
        return len(self.sizes) * len(self.ratios)

    def fit(self, rows: int, columns: int, width: int, height: int) -> bool:
        """Whether a map of that many cells covers an input of this size, in pixels.

        However often a network halves a size, rounding up or down, the cells are as many as the
        size over the stride, rounded up or down.
        """
        return all(
            floor(length / self.stride) <= cells <= ceil(length / self.stride)
            for cells, length in ((rows, height), (columns, width))
        )

    def cell(self) -> NDArray[np.float32]:
        """The boxes of one cell around (0, 0): (A, 4) xyxy, size by size, each in every ratio."""
        size, ratio = np.meshgrid(self.sizes, self.ratios, indexing="ij")
        width = np.sqrt(size**2 / ratio).ravel()
        height = ratio.ravel() * width
        corners = np.stack([-width, -height, width, height], axis=1) / 2
        return corners.astype(np.float32)

    def grid(self, rows: int, columns: int) -> NDArray[np.float32]:
        """The boxes of a whole map: (rows · columns · A, 4) xyxy in input pixels, float32.

        Row by row, cell by cell, and in a cell as `cell`. Read-only: it is made once.
        """
        return _grid(self, rows, columns)


@lru_cache(maxsize=64)
def _grid(anchors: Anchors, rows: int, columns: int) -> NDArray[np.float32]:
    y = (np.arange(rows, dtype=np.float32) + anchors.offset) * anchors.stride
    x = (np.arange(columns, dtype=np.float32) + anchors.offset) * anchors.stride
    centres = np.stack(np.meshgrid(x, y), axis=-1)
    boxes = np.tile(centres, 2)[:, :, None] + anchors.cell()
    grid = boxes.reshape(-1, 4).astype(np.float32, copy=False)
    grid.flags.writeable = False
    return grid

"""The cells of anchor-free heads: which cell of which feature map a row of an output belongs to."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def cells_of(columns: int, rows: int) -> NDArray[np.float32]:
    """Column and row of each cell of one map, row by row: (N, 2) float32."""
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    return np.stack([x.ravel(), y.ravel()], axis=1)


@lru_cache(maxsize=64)
def cells(
    width: int, height: int, strides: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All cells of all feature maps, map by map, row by row.

    Returns:
        Column and row of each cell (N, 2) and its stride in pixels (N, 1), float32, read-only.
    """
    grids, scales = [], []
    for stride in strides:
        grids.append(cells_of(-(-width // stride), -(-height // stride)))
        scales.append(np.full((len(grids[-1]), 1), stride, np.float32))
    grid, scale = np.concatenate(grids), np.concatenate(scales)
    grid.flags.writeable = scale.flags.writeable = False
    return grid, scale


def cell_count(width: int, height: int, strides: tuple[int, ...]) -> int:
    """How many cells there are."""
    return sum(-(-width // stride) * -(-height // stride) for stride in strides)

"""Tensors as bytes, and tables that say what becomes of each.

Between layers the runtime keeps ``u = q + 128`` (uint8) instead of the device's int8 q, so that
every element is an index into a table.
"""

from __future__ import annotations

from collections import deque
from math import prod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Elements of a channel; below it a call for each costs more than indices do.
_SMALL_PLANE = 512

Bytes = NDArray[np.uint8]


def centred(zero_point: int, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """The table from u to q - zero point."""
    return (np.arange(256) - 128 - zero_point).astype(dtype)


def look_up(values: Bytes, table: NDArray[Any]) -> NDArray[Any]:
    """table[u] for each u: the same shape, the table's type."""
    rows = np.ascontiguousarray(values).reshape(-1, values.shape[-1])
    return cv2.LUT(rows, table).reshape(values.shape)


def look_up_channels(values: Bytes, tables: NDArray[Any]) -> NDArray[Any]:
    """tables[c, u] for each u of channel c: x is [N, C, …], the tables [C, 256].

    Small planes are looked up at once, by indices; large ones faster one by one.
    """
    planes = np.ascontiguousarray(values).reshape(-1, len(tables), prod(values.shape[2:]))
    if planes.shape[2] < _SMALL_PLANE:
        starts = np.arange(0, tables.size, tables.shape[1])[:, None]
        return np.take(tables, planes + starts).reshape(values.shape)
    out = np.empty(planes.shape, tables.dtype)
    for picture, made in zip(planes, out, strict=True):
        deque(map(cv2.LUT, picture, tables, made), maxlen=0)
    return out.reshape(values.shape)

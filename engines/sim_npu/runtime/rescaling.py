"""From exact sums to int8, in the device's two roundings (docs/npu.md has the equations).

Fixed: float64 is exact here. A sum times multiplier · 2^-shift is a multiple of 2^-44; where the
result is not saturated it is below 2⁸, so that it has no more than 53 bits. Where it is larger it
may be rounded, but never back below 2⁸, and is saturated either way.

Float: the same float32 operations as ONNX Runtime's, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.runtime.sums import Bytes

#: Elements that are rescaled at a time: small enough for a core's cache.
_BLOCK = 32768


def to_bytes(work: NDArray[Any], out: Bytes) -> None:
    """Saturates and stores; cuts off the fraction of what is not negative, which is floor."""
    np.clip(work, 0, 255, out=work)
    out[...] = work


class Fixed:
    """floor(sum · multiplier / 2^shift + 1/2) + zero point, saturated."""

    def __init__(self, constants: Mapping[str, NDArray[Any]], zero_point: int) -> None:
        shifts = constants["shift"].astype(np.int32)
        self.factors = np.ldexp(constants["multiplier"].astype(np.float64), -shifts)
        self._offset = zero_point + 128 + 0.5

    def finish(self, work: NDArray[Any], out: Bytes) -> None:
        """Stores what is already multiplied; changes `work`."""
        work += self._offset
        to_bytes(work, out)


class Float:
    """round(float32(sum) · ratio), half to even, + zero point, saturated."""

    def __init__(self, constants: Mapping[str, NDArray[Any]], zero_point: int) -> None:
        self.factors = constants["ratio"]
        self._offset = zero_point + 128

    def finish(self, work: NDArray[Any], out: Bytes) -> None:
        """Stores what is already multiplied; changes `work`."""
        np.rint(work, out=work)
        work += self._offset
        to_bytes(work, out)


#: By the name of the artefact's rounding.
RESCALINGS: dict[str, type[Fixed | Float]] = {"fixed": Fixed, "float": Float}


def rescale(sums: NDArray[Any], rescaling: Fixed | Float) -> Bytes:
    """One factor a channel.

    Args:
        sums: [N, C, …], whole numbers.
        rescaling: with C factors, or one.

    Returns:
        The same shape.
    """
    factors = rescaling.factors
    rows = sums.reshape(sums.shape[0] * sums.shape[1], -1)
    if factors.dtype == np.float32:
        rows = rows.astype(np.float32, copy=False)
    each = np.tile(np.broadcast_to(factors, sums.shape[1]), len(sums))[:, None]
    out = np.empty(rows.shape, np.uint8)
    step = max(1, _BLOCK // rows.shape[1])
    work = np.empty((min(step, len(rows)), rows.shape[1]), factors.dtype)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        part = work[: len(rows[block])]
        np.multiply(rows[block], each[block], out=part)
        rescaling.finish(part, out[block])
    return out.reshape(sums.shape)

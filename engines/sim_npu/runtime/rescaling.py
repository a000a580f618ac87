"""From exact sums to int8, in the device's two roundings (docs/npu.md has the equations).

Fixed: float64 is exact here. A sum times multiplier · 2^-shift is a multiple of 2^-44; where the
result is not saturated it is below 2⁸, so that it has no more than 53 bits. Where it is larger it
may be rounded, but never back below 2⁸, and is saturated either way. float32 is not exact, but
much faster, and for nearly every ratio it can be made to round every sum alike: see `_alike`.

Float: the same float32 operations as ONNX Runtime's, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.runtime.tables import Bytes

#: Integers up to here are exact in float32.
EXACT = 2**24
#: How many float32 numbers below and above a factor are tried, nearest first.
_NEAR = 40

_Singles = NDArray[np.float32]
_Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Single:
    """round(factor · sum) in float32, half to even, + zero: ONNX's QuantizeLinear of the product.

    Attributes:
        factors: of each channel.
        zero: the result of the sum 0, as a byte.
        unfit: channels for which the result is not exact.
    """

    factors: _Singles
    zero: int
    unfit: _Integers


@dataclass(frozen=True, slots=True)
class Rescaling:
    """factor · sum + offset, cut off to bytes; exact.

    Attributes:
        factors: of each channel; their type is that of the arithmetic.
        offset: for all channels.
        rounds: whether the product is rounded, half to even, before the offset.
        single: the same in float32; None where the factors are those of several tensors.
    """

    factors: NDArray[Any]
    offset: float
    rounds: bool
    single: Single | None

    def of(self, channels: _Integers) -> Rescaling:
        """For these channels only."""
        return replace(self, factors=self.factors[channels], single=None)

    def finish(self, work: NDArray[Any], out: Bytes) -> None:
        """Stores what is already multiplied; changes `work`."""
        if self.rounds:
            np.rint(work, out=work)
        work += work.dtype.type(self.offset)
        to_bytes(work, out)


def to_bytes(work: NDArray[Any], out: Bytes) -> None:
    """Saturates and stores; cuts off the fraction of what is not negative, which is floor."""
    np.clip(work, 0, 255, out=work)
    out[...] = work


def rescale(sums: NDArray[Any], rescaling: Rescaling) -> Bytes:
    """Whole numbers [N, C, …], with one factor a channel."""
    factors = rescaling.factors.reshape(-1, *[1] * (sums.ndim - 2))
    work = sums.astype(factors.dtype)
    work *= factors
    out = np.empty(work.shape, np.uint8)
    rescaling.finish(work, out)
    return out


def _fixed(constants: Mapping[str, NDArray[Any]], zero_point: int) -> Rescaling:
    """floor(sum · multiplier / 2^shift + 1/2) + zero point, saturated."""
    multipliers, shifts = (constants[name].astype(np.int64) for name in ("multiplier", "shift"))
    factors, zero = np.ldexp(multipliers.astype(np.float64), -shifts), zero_point + 128
    several = len(multipliers) != len(shifts)
    single = None if several else _alike(factors, _steps(multipliers, shifts, zero), zero)
    return Rescaling(factors, zero + 0.5, rounds=False, single=single)


def _float(constants: Mapping[str, NDArray[Any]], zero_point: int) -> Rescaling:
    """round(float32(sum) · ratio), half to even, + zero point, saturated."""
    ratios, zero = constants["ratio"], zero_point + 128
    single = Single(ratios, zero, unfit=np.empty(0, np.int64))
    return Rescaling(ratios, zero, rounds=True, single=single)


#: By the name of the artefact's rounding.
RESCALINGS: dict[str, Callable[[Mapping[str, NDArray[Any]], int], Rescaling]] = {
    "fixed": _fixed,
    "float": _float,
}


def _steps(multipliers: _Integers, shifts: _Integers, zero: int) -> _Integers:
    """[C, 255]: the least sum with a result of 1, 2 … 255; cut to what a sum can be."""
    halves = 2 * (np.arange(1, 256) - zero) - 1
    least = -(-(halves << shifts[:, None]) // (2 * multipliers[:, None]))
    return np.asarray(np.clip(least, -EXACT, EXACT))


def _alike(ratios: NDArray[np.float64], steps: _Integers, zero: int) -> Single:
    """The fixed rescaling in float32.

    Neither it nor the exact one ever falls as the sum grows. So they are equal for every sum if
    they are on both sides of each of the 255 places at which the exact one goes up by one. Factors
    next to the right one are tried until they are; for a few channels in a hundred none will do.

    Args:
        ratios: of each channel.
        steps: [C, 255] where the exact one goes up.
        zero: the result of the sum 0.
    """
    near = ratios.astype(np.float32)
    factors, left = near.copy(), np.arange(len(near))
    for away in sorted(range(-_NEAR, _NEAR + 1), key=abs):
        factors[left] = _moved(near[left], away)
        left = left[~_agrees(factors[left], steps[left], zero)]
        if not len(left):
            break
    return Single(factors, zero, unfit=left)


def _agrees(factors: _Singles, steps: _Integers, zero: int) -> NDArray[np.bool_]:
    """For which channels float32 goes up where it should, of all sums below `EXACT`."""
    results = np.arange(1, 256, dtype=np.float32) - zero

    def made(sums: _Integers) -> _Singles:
        return np.asarray(np.rint(sums.astype(np.float32) * factors[:, None]))

    there = (made(steps) >= results) | (steps >= EXACT)
    not_before = (made(steps - 1) < results) | (steps <= -EXACT)
    return np.asarray((there & not_before).all(1))


def _moved(numbers: _Singles, count: int) -> _Singles:
    """The float32 numbers so many further up; all are positive."""
    return (numbers.view(np.int32) + np.int32(count)).view(np.float32)

"""Real numbers on a grid of 256, and ratios as integers (docs/npu.md has the equations).

Affine quantisation: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018. Activations have a zero point of their own, since SiLU and
rectifiers leave most of a symmetric range unused; weights are symmetric in each output channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.artefact import Tensor
from engines.sim_npu.operators import MAX_SHIFT

#: Of activations.
LOWEST, HIGHEST = -128, 127
#: Of weights.
LARGEST_WEIGHT = 127
#: Bits of a multiplier.
_BITS = 31
#: A bias takes no more than half of the 32 bits of a sum.
_LARGEST_BIAS = 2**30
#: Of weights; smaller ones are nothing beside any other, and times an input's no float32 any more.
_SMALLEST_SCALE = 1e-12


def fit(shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """The tensor whose grid covers a range, and zero exactly.

    The scale is a float32, as in ONNX. A tensor that is always zero has scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / (HIGHEST - LOWEST))) or 1.0
    zero_point = int(np.clip(np.rint(LOWEST - low / scale), LOWEST, HIGHEST))
    return Tensor(shape, scale, zero_point)


def quantise(values: NDArray[Any], tensor: Tensor) -> NDArray[np.int8]:
    """Real numbers on a tensor's grid, by ONNX's QuantizeLinear: all of it in float32."""
    stored = np.rint(np.asarray(values, np.float32) / np.float32(tensor.scale)) + tensor.zero_point
    return np.asarray(np.clip(stored, LOWEST, HIGHEST), np.int8)


def levels(tensor: Tensor) -> NDArray[np.float64]:
    """The 256 real numbers a tensor can hold, from the lowest."""
    return np.arange(LOWEST - tensor.zero_point, HIGHEST + 1.0 - tensor.zero_point) * tensor.scale


def weight_scales(
    weights: NDArray[Any], bias: NDArray[Any], input_scale: float, per_channel: bool = True
) -> NDArray[Any]:
    """float32 scale of every output channel, the first axis; all alike if not `per_channel`.

    A channel of tiny weights and a large bias gets a scale that the bias still fits.
    """
    largest = np.abs(weights).reshape(len(weights), -1).max(1)
    scales = np.maximum(largest / LARGEST_WEIGHT, np.abs(bias) / (_LARGEST_BIAS * input_scale))
    scales = np.asarray(np.maximum(scales, _SMALLEST_SCALE), np.float32)
    return scales if per_channel else np.full_like(scales, scales.max())


def largest_sums(weights: NDArray[Any], bias: NDArray[Any], zero_point: int) -> NDArray[Any]:
    """The largest magnitude any input can give the sum of each output channel, with its bias."""
    reach = max(HIGHEST - zero_point, zero_point - LOWEST)
    taps = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(1)
    return np.asarray(reach * taps + np.abs(bias))


def rescaling(ratios: NDArray[Any], rounding: str) -> dict[str, NDArray[Any]]:
    """The constants that stand for positive ratios.

    Args:
        ratios: one or more, of real numbers.
        rounding: one of `operators.ROUNDINGS`.

    Raises:
        ProgramError: a ratio is too large for a multiplier.
    """
    if rounding == "float":
        return {"ratio": ratios.astype(np.float32)}
    _, exponents = np.frexp(ratios)
    shift = np.minimum(_BITS - exponents, MAX_SHIFT)
    return _integers(ratios, shift)


def shared_rescaling(ratios: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """As `rescaling` by ``fixed``, with one shift that all ratios share."""
    _, exponent = np.frexp(ratios.max())
    return _integers(ratios, np.minimum([_BITS - exponent], MAX_SHIFT))


def _integers(ratios: NDArray[Any], shift: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Multipliers of up to 31 bits; one that rounds up to 32 is cut by its last bit."""
    if (shift < 0).any():
        raise ProgramError(f"a ratio of {ratios.max():g} is too large for the device")
    multiplier = np.rint(np.ldexp(ratios.astype(np.float64), shift))
    multiplier = np.clip(multiplier, 1, 2**_BITS - 1)
    return {"multiplier": multiplier.astype(np.int32), "shift": shift.astype(np.uint8)}

"""Exact integer sums of products, computed in floating point.

float32 holds every integer up to 2²⁴. A float32 convolution of integers is therefore exact, in
whatever order it adds, as long as the magnitudes it adds up stay below that; and the fastest
convolution of a CPU that is always at hand is one of float32. Where a layer could pass the bound,
its weights are split into digits, each digit is convolved apart, and the parts are joined in
float64.

Between layers the runtime keeps ``u = q + 128`` (uint8) instead of the device's int8 q, so that
every element is an index into a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.runtime.session import cpu_session

#: Integers up to here are exact in float32.
_EXACT = 2.0**24
#: Bits of a weight's digits, tried in this order: whole weights first.
_DIGITS = (8, 4, 2)
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
        for plane, table, result in zip(picture, tables, made, strict=True):
            cv2.LUT(plane, table, result)
    return out.reshape(values.shape)


class Convolution:
    """Sums of (x - zero point) · weight over windows, plus bias; exact.

    Args:
        shape: of x, N, C, H, W.
        zero_point: of x.
        weights: int8 [O, C / groups, kh, kw].
        bias: int32 [O].
        geometry: the attributes of the operator `conv`.
        threads: that one call may use.

    Raises:
        ProgramError: the layer adds more than any splitting makes exact.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        zero_point: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        geometry: Mapping[str, Any],
        threads: int = 1,
    ) -> None:
        self._table = centred(zero_point, np.float32)
        reach = float(np.abs(self._table).max())
        inside = bias if _magnitude(weights, reach, bias) < _EXACT else np.zeros_like(bias)
        self._late_bias = None if inside is bias else bias.astype(np.float64)[:, None, None]
        self._radix, digits = _split(weights, reach)
        attributes = {
            "strides": geometry["strides"],
            "pads": geometry["pads"],
            "dilations": geometry["dilations"],
            "group": geometry["groups"],
        }
        self._parts = [
            _session(
                shape, digit, inside if index == 0 else np.zeros_like(bias), attributes, threads
            )
            for index, digit in enumerate(digits)
        ]

    def __call__(self, values: Bytes) -> NDArray[Any]:
        """[N, O, H', W'], whole numbers in float32, or in float64 where they need it."""
        fed = {"x": look_up(values, self._table)}
        sums: NDArray[np.float32] = self._parts[0].run(None, fed)[0]
        if len(self._parts) == 1 and self._late_bias is None:
            return sums
        total: NDArray[np.float64] = sums.astype(np.float64)
        for place, part in enumerate(self._parts[1:], 1):
            total += part.run(None, fed)[0] * float(self._radix**place)
        return total if self._late_bias is None else total + self._late_bias


def _magnitude(weights: NDArray[Any], reach: float, bias: NDArray[Any]) -> float:
    """The largest sum of magnitudes any input can cause."""
    taps = np.abs(weights.astype(np.float64)).reshape(len(weights), -1).sum(axis=1)
    return float((taps * reach + np.abs(bias.astype(np.float64))).max())


def _split(weights: NDArray[np.int8], reach: float) -> tuple[int, list[NDArray[np.int64]]]:
    """Radix and digits, lowest first, whose sums are exact; one digit where nothing must split."""
    nothing = np.zeros(len(weights))
    for bits in _DIGITS:
        digits = _digits(weights.astype(np.int64), 2**bits)
        if all(_magnitude(digit, reach, nothing) < _EXACT for digit in digits):
            return 2**bits, digits
    raise ProgramError(
        f"a convolution of {weights[0].size} products a sum is beyond what is simulated exactly; "
        "split the layer's input channels"
    )


def _digits(rest: NDArray[np.int64], radix: int) -> list[NDArray[np.int64]]:
    """Balanced digits, in -radix/2 … radix/2 - 1."""
    digits: list[NDArray[np.int64]] = []
    while rest.any() or not digits:
        digit = (rest + radix // 2) % radix - radix // 2
        digits.append(digit)
        rest = (rest - digit) // radix
    return digits


def _session(
    shape: tuple[int, ...],
    weights: NDArray[Any],
    bias: NDArray[Any],
    attributes: dict[str, Any],
    threads: int,
) -> Any:
    """ONNX Runtime's float32 convolution with these weights."""
    import onnx

    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    constants = {"w": weights.astype(np.float32), "b": bias.astype(np.float32)}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)],
        "sums",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return cpu_session(model.SerializeToString(), threads)

"""The device's operators as docs/npu.md has them, one number after the other: slow, and plain.

Shares nothing with the runtime: whole numbers are Python's and numpy's int64, and float32 appears
only where the device itself rounds by it.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.artefact import Layer, Tensor

Int8 = NDArray[np.int8]


def run(layer: Layer, tensors: dict[str, Tensor], rounding: str, *inputs: Int8) -> Int8:
    """The layer's output; int8 in, int8 out."""
    given = [tensors[name] for name in layer.inputs]
    return OPERATORS[layer.operator](layer, given, tensors[layer.output], rounding, inputs)


def saturated(value: int) -> int:
    return max(-128, min(127, value))


def rescaled(total: int, channel: int, layer: Layer, zero_point: int, rounding: str) -> int:
    if rounding == "fixed":
        multiplier, shift = one(layer, "multiplier", channel), one(layer, "shift", channel)
        return saturated(shifted(total * multiplier, shift) + zero_point)
    scaled = np.float32(total) * np.float32(one(layer, "ratio", channel))
    return saturated(int(np.rint(scaled)) + zero_point)


def shifted(value: int, shift: int) -> int:
    """floor(value / 2^shift + 1/2), in whole numbers."""
    return (2 * value + 2**shift) // 2 ** (shift + 1)


def one(layer: Layer, name: str, channel: int) -> Any:
    array = layer.constants[name]
    return array[channel % len(array)].item()


def windows(x: NDArray[np.int64], layer: Layer, kernel: Any, dilations: Any, fill: int) -> Any:
    """Row, column and window [C, kh, kw] of each output position of one picture."""
    top, left, bottom, right = layer.attributes["pads"]
    x = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=fill)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    down, across = layer.attributes["strides"]
    for row, y in enumerate(range(0, x.shape[1] - span[0] + 1, down)):
        for column, z in enumerate(range(0, x.shape[2] - span[1] + 1, across)):
            yield (
                row,
                column,
                x[:, y : y + span[0] : dilations[0], z : z + span[1] : dilations[1]],
            )


def conv(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    weights = layer.constants["weights"].astype(np.int64)
    bias, groups = layer.constants["bias"], layer.attributes["groups"]
    per_group, width = len(weights) // groups, weights.shape[1]
    out = np.empty(output.shape, np.int8)
    for n, picture in enumerate(inputs[0].astype(np.int64) - given[0].zero_point):
        places = windows(picture, layer, weights.shape[2:], layer.attributes["dilations"], 0)
        for row, column, window in places:
            for o in range(len(weights)):
                start = o // per_group * width
                total = int((window[start : start + width] * weights[o]).sum()) + int(bias[o])
                out[n, o, row, column] = rescaled(total, o, layer, output.zero_point, rounding)
    return out


def gemm(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    weights, bias = layer.constants["weights"].astype(np.int64), layer.constants["bias"]
    out = np.empty(output.shape, np.int8)
    for n, o in product(*map(range, output.shape)):
        x = inputs[0][n].astype(np.int64) - given[0].zero_point
        total = int((x * weights[o]).sum()) + int(bias[o])
        out[n, o] = rescaled(total, o, layer, output.zero_point, rounding)
    return out


def add(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    return pairs(layer, given, output, rounding, inputs)


def mul(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    return pairs(layer, given, output, rounding, inputs)


def pairs(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    out = np.empty(output.shape, np.int8)
    a, b = (np.broadcast_to(one, output.shape) for one in inputs)
    for place in np.ndindex(output.shape):
        first = int(a[place]) - given[0].zero_point
        second = int(b[place]) - given[1].zero_point
        if rounding == "float":
            out[place] = float_pair(layer.operator, first, second, given, output)
        elif layer.operator == "mul":
            out[place] = rescaled(first * second, 0, layer, output.zero_point, rounding)
        else:
            multipliers = layer.constants["multiplier"]
            total = first * int(multipliers[0]) + second * int(multipliers[1])
            shift = one(layer, "shift", 0)
            out[place] = saturated(shifted(total, shift) + output.zero_point)
    return out


def float_pair(operator: str, a: int, b: int, given: list[Tensor], output: Tensor) -> int:
    first = np.float32(a) * np.float32(given[0].scale)
    second = np.float32(b) * np.float32(given[1].scale)
    result = first + second if operator == "add" else first * second
    return saturated(int(np.rint(result / np.float32(output.scale))) + output.zero_point)


def average_pool(
    layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any
) -> Int8:
    out = np.empty(output.shape, np.int8)
    for n, picture in enumerate(inputs[0].astype(np.int64) - given[0].zero_point):
        for row, column, window in windows(picture, layer, layer.attributes["kernel"], (1, 1), 0):
            for channel, values in enumerate(window):
                total = int(values.sum())
                out[n, channel, row, column] = rescaled(
                    total, channel, layer, output.zero_point, rounding
                )
    return out


def max_pool(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    out = np.empty(output.shape, np.int8)
    for n, picture in enumerate(inputs[0].astype(np.int64)):
        kernel = layer.attributes["kernel"]
        for row, column, window in windows(picture, layer, kernel, (1, 1), -128):
            out[n, :, row, column] = window.max(axis=(1, 2))
    return out


def lookup(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    table = layer.constants["table"]
    return np.array([table[int(q) + 128] for q in inputs[0].flat], np.int8).reshape(output.shape)


def concat(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    tables = layer.constants["tables"]
    parts = [
        np.array([table[int(q) + 128] for q in part.flat], np.int8).reshape(part.shape)
        for table, part in zip(tables, inputs, strict=True)
    ]
    return np.concatenate(parts, layer.attributes["axis"])


def resize_nearest(
    layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any
) -> Int8:
    down, across = layer.attributes["factors"]
    out = np.empty(output.shape, np.int8)
    for n, c, row, column in np.ndindex(output.shape):
        out[n, c, row, column] = inputs[0][n, c, row // down, column // across]
    return out


def transpose(
    layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any
) -> Int8:
    axes = layer.attributes["axes"]
    out = np.empty(output.shape, np.int8)
    for place in np.ndindex(output.shape):
        source = [0] * len(axes)
        for position, axis in zip(place, axes, strict=True):
            source[axis] = position
        out[place] = inputs[0][tuple(source)]
    return out


def reshape(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    return np.array(list(inputs[0].flat), np.int8).reshape(output.shape)


def slice_(layer: Layer, given: list[Tensor], output: Tensor, rounding: str, inputs: Any) -> Int8:
    starts, steps = layer.attributes["starts"], layer.attributes["steps"]
    out = np.empty(output.shape, np.int8)
    for place in np.ndindex(output.shape):
        out[place] = inputs[0][
            tuple(s + p * k for s, p, k in zip(starts, place, steps, strict=True))
        ]
    return out


OPERATORS = {
    "conv": conv,
    "gemm": gemm,
    "add": add,
    "mul": mul,
    "average_pool": average_pool,
    "max_pool": max_pool,
    "lookup": lookup,
    "concat": concat,
    "resize_nearest": resize_nearest,
    "transpose": transpose,
    "reshape": reshape,
    "slice": slice_,
}

"""The device's operators as docs/npu.md has them, one number at a time: slow, and plain.

Shares nothing with the runtime: whole numbers are Python's and numpy's int64, and float32 appears
only where the device itself rounds by it. Each operator here is one number of its output, at one
place: so that of a large tensor any few can be worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.artefact import Layer, Tensor

Int8 = NDArray[np.int8]
Place = Sequence[int]


@dataclass(frozen=True, slots=True)
class Work:
    """A layer, its tensors, and what came in."""

    layer: Layer
    given: list[Tensor]
    made: Tensor
    rounding: str
    inputs: tuple[Int8, ...]


def run(layer: Layer, tensors: Mapping[str, Tensor], rounding: str, *inputs: Int8) -> Int8:
    """The layer's whole output; int8 in, int8 out."""
    shape = tensors[layer.output].shape
    values = some(layer, tensors, rounding, inputs, np.ndindex(shape))
    return np.array(values, np.int8).reshape(shape)


def some(
    layer: Layer,
    tensors: Mapping[str, Tensor],
    rounding: str,
    inputs: Iterable[Int8],
    places: Iterable[Place],
) -> list[int]:
    """The layer's output at some places."""
    given = [tensors[name] for name in layer.inputs]
    work = Work(layer, given, tensors[layer.output], rounding, tuple(inputs))
    number = OPERATORS[layer.operator]
    return [number(work, place) for place in places]


def saturated(value: int) -> int:
    return max(-128, min(127, value))


def rescaled(total: int, channel: int, work: Work) -> int:
    zero_point = work.made.zero_point
    if work.rounding == "fixed":
        multiplier, shift = constant(work, "multiplier", channel), constant(work, "shift", channel)
        return saturated(shifted(total * multiplier, shift) + zero_point)
    scaled = np.float32(total) * np.float32(constant(work, "ratio", channel))
    return saturated(int(np.rint(scaled)) + zero_point)


def shifted(value: int, shift: int) -> int:
    """floor(value / 2^shift + 1/2), in whole numbers."""
    return (2 * value + 2**shift) // 2 ** (shift + 1)


def constant(work: Work, name: str, channel: int) -> Any:
    array = work.layer.constants[name]
    return array[channel % len(array)].item()


def reach(
    work: Work, axis: int, position: int, size: int, dilation: int = 1
) -> tuple[slice, slice]:
    """Where a window lies on an axis (0 is rows) without what is outside: of its taps, of x."""
    first = position * work.layer.attributes["strides"][axis] - work.layer.attributes["pads"][axis]
    length = work.inputs[0].shape[2 + axis]
    taps = [tap for tap in range(size) if 0 <= first + tap * dilation < length]
    if not taps:
        return slice(0), slice(0)
    ends = first + taps[0] * dilation, first + taps[-1] * dilation + 1
    return slice(taps[0], taps[-1] + 1), slice(*ends, dilation)


def conv(work: Work, place: Place) -> int:
    n, o, row, column = place
    weights, dilations = work.layer.constants["weights"], work.layer.attributes["dilations"]
    taps_down, rows = reach(work, 0, row, weights.shape[2], dilations[0])
    taps_across, columns = reach(work, 1, column, weights.shape[3], dilations[1])
    start = o // (len(weights) // work.layer.attributes["groups"]) * weights.shape[1]
    x = work.inputs[0][n, start : start + weights.shape[1], rows, columns].astype(np.int64)
    products = (x - work.given[0].zero_point) * weights[o, :, taps_down, taps_across]
    total = int(products.sum()) + int(work.layer.constants["bias"][o])
    return rescaled(total, o, work)


def gemm(work: Work, place: Place) -> int:
    n, o = place
    x = work.inputs[0][n].astype(np.int64) - work.given[0].zero_point
    products = x * work.layer.constants["weights"][o]
    return rescaled(int(products.sum()) + int(work.layer.constants["bias"][o]), o, work)


def operands(work: Work, place: Place) -> list[int]:
    """Both at this place, an axis of length 1 being repeated, without their zero points."""
    return [
        int(x[tuple(p % length for p, length in zip(place, x.shape, strict=True))])
        - tensor.zero_point
        for x, tensor in zip(work.inputs, work.given, strict=True)
    ]


def add(work: Work, place: Place) -> int:
    a, b = operands(work, place)
    if work.rounding == "float":
        return as_onnx(work, a, b, np.add)
    total = a * constant(work, "multiplier", 0) + b * constant(work, "multiplier", 1)
    return saturated(shifted(total, constant(work, "shift", 0)) + work.made.zero_point)


def mul(work: Work, place: Place) -> int:
    a, b = operands(work, place)
    return (
        as_onnx(work, a, b, np.multiply) if work.rounding == "float" else rescaled(a * b, 0, work)
    )


def as_onnx(work: Work, a: int, b: int, operation: np.ufunc) -> int:
    first = np.float32(a) * np.float32(work.given[0].scale)
    second = np.float32(b) * np.float32(work.given[1].scale)
    quotient = operation(first, second) / np.float32(work.made.scale)
    return saturated(int(np.rint(quotient)) + work.made.zero_point)


def window(work: Work, place: Place) -> NDArray[np.int64]:
    """What of a pooling's input lies in its window."""
    n, channel, row, column = place
    kernel = work.layer.attributes["kernel"]
    _, rows = reach(work, 0, row, kernel[0])
    _, columns = reach(work, 1, column, kernel[1])
    return work.inputs[0][n, channel, rows, columns].astype(np.int64)


def average_pool(work: Work, place: Place) -> int:
    total = int((window(work, place) - work.given[0].zero_point).sum())
    return rescaled(total, place[1], work)


def max_pool(work: Work, place: Place) -> int:
    return int(window(work, place).max(initial=-128))


def lookup(work: Work, place: Place) -> int:
    table = work.layer.constants["table"]
    own = table if table.ndim == 1 else table[place[1]]
    return int(own[int(work.inputs[0][tuple(place)]) + 128])


def concat(work: Work, place: Place) -> int:
    axis = work.layer.attributes["axis"]
    ends = list(accumulate(x.shape[axis] for x in work.inputs))
    part = next(number for number, end in enumerate(ends) if place[axis] < end)
    start = ends[part] - work.inputs[part].shape[axis]
    inside = tuple(p - start if n == axis else p for n, p in enumerate(place))
    return int(work.layer.constants["tables"][part][int(work.inputs[part][inside]) + 128])


def resize_nearest(work: Work, place: Place) -> int:
    n, channel, row, column = place
    down, across = work.layer.attributes["factors"]
    return int(work.inputs[0][n, channel, row // down, column // across])


def transpose(work: Work, place: Place) -> int:
    source = [0] * len(place)
    for position, axis in zip(place, work.layer.attributes["axes"], strict=True):
        source[axis] = position
    return int(work.inputs[0][tuple(source)])


def reshape(work: Work, place: Place) -> int:
    number = 0
    for position, length in zip(place, work.made.shape, strict=True):
        number = number * length + position
    return int(work.inputs[0].flat[number])


def slice_(work: Work, place: Place) -> int:
    starts, steps = work.layer.attributes["starts"], work.layer.attributes["steps"]
    return int(
        work.inputs[0][tuple(s + p * k for s, p, k in zip(starts, place, steps, strict=True))]
    )


OPERATORS: dict[str, Callable[[Work, Place], int]] = {
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

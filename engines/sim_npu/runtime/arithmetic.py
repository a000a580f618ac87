"""The device's operators, fast: one function a layer, bit for bit as docs/npu.md has them.

Tensors are kept as ``u = q + 128`` in uint8; see `tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.runtime.convolution import Convolution
from engines.sim_npu.runtime.rescaling import RESCALINGS, to_bytes
from engines.sim_npu.runtime.tables import Bytes, centred, look_up, look_up_channels

#: Takes a layer's inputs in order, gives its output; may share memory with an input.
Step = Callable[..., Bytes]


def step(layer: Layer, tensors: Mapping[str, Tensor], rounding: str, threads: int = 1) -> Step:
    """The layer, ready to run.

    Args:
        layer: checked against its operator's row.
        tensors: those of the artefact, by name.
        rounding: the artefact's.
        threads: that one call may use.
    """
    inputs = [tensors[name] for name in layer.inputs]
    return _STEPS[layer.operator](layer, inputs, tensors[layer.output], rounding, threads)


def _conv(layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, threads: int) -> Step:
    return Convolution(
        inputs[0].shape,
        inputs[0].zero_point,
        layer.constants["weights"],
        layer.constants["bias"],
        layer.attributes,
        RESCALINGS[rounding](layer.constants, output.zero_point),
        threads,
    )


def _gemm(layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, threads: int) -> Step:
    """A convolution over a picture of one row, with a column for each of x's."""
    count, length = inputs[0].shape
    convolution = Convolution(
        (1, length, 1, count),
        inputs[0].zero_point,
        layer.constants["weights"][:, :, None, None],
        layer.constants["bias"],
        {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "groups": 1},
        RESCALINGS[rounding](layer.constants, output.zero_point),
        threads,
    )
    return lambda values: convolution(values.T[None, :, None])[0, :, 0].T


def _average_pool(
    layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, threads: int
) -> Step:
    """A convolution with ones."""
    channels = inputs[0].shape[1]
    each = {name: np.repeat(array, channels) for name, array in layer.constants.items()}
    return Convolution(
        inputs[0].shape,
        inputs[0].zero_point,
        np.ones((channels, 1, *layer.attributes["kernel"]), np.int8),
        np.zeros(channels, np.int32),
        {**layer.attributes, "dilations": [1, 1], "groups": channels},
        RESCALINGS[rounding](each, output.zero_point),
        threads,
    )


def _max_pool(layer: Layer, *_: Any) -> Step:
    top, left, bottom, right = layer.attributes["pads"]
    margins = ((0, 0), (0, 0), (top, bottom), (left, right))
    (height, width), (down, across) = layer.attributes["kernel"], layer.attributes["strides"]

    def run(values: Bytes) -> Bytes:
        padded = np.pad(values, margins)  # 0 is the device's -128
        rows = padded.shape[2] - height + 1
        columns = padded.shape[3] - width + 1
        tallest = reduce(np.maximum, (padded[:, :, n : n + rows : down] for n in range(height)))
        return reduce(np.maximum, (tallest[..., n : n + columns : across] for n in range(width)))

    return run


def _pair(
    layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, combine: np.ufunc
) -> Step:
    """A function of two bytes: all its results, worked out once."""
    made = _float_pairs if rounding == "float" else _fixed_pairs
    table = made(layer, inputs, output, combine).ravel()

    def run(a: Bytes, b: Bytes) -> Bytes:
        index = a.astype(np.intp)
        index <<= 8
        index |= b
        return table.take(index)

    return run


def _fixed_pairs(layer: Layer, inputs: list[Tensor], output: Tensor, combine: np.ufunc) -> Bytes:
    rescaling = RESCALINGS["fixed"](layer.constants, output.zero_point)
    tables = [centred(tensor.zero_point, np.float64) for tensor in inputs]
    # A sum has a factor for each input, a product one for both.
    for table, factor in zip(tables, rescaling.factors, strict=False):
        table *= factor
    out = np.empty((256, 256), np.uint8)
    rescaling.finish(combine.outer(*tables), out)
    return out


def _float_pairs(layer: Layer, inputs: list[Tensor], output: Tensor, combine: np.ufunc) -> Bytes:
    """DequantizeLinear of both, the operation, QuantizeLinear."""
    reals = [centred(one.zero_point, np.float32) * np.float32(one.scale) for one in inputs]
    work = np.rint(combine.outer(*reals) / np.float32(output.scale))
    out = np.empty((256, 256), np.uint8)
    to_bytes(work + np.float32(output.zero_point + 128), out)
    return out


def _add(layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, _: int) -> Step:
    return _pair(layer, inputs, output, rounding, np.add)


def _mul(layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, _: int) -> Step:
    return _pair(layer, inputs, output, rounding, np.multiply)


def _as_bytes(table: NDArray[np.int8]) -> Bytes:
    return (table.astype(np.int16) + 128).astype(np.uint8)


def _lookup(layer: Layer, *_: Any) -> Step:
    table = _as_bytes(layer.constants["table"])
    return lambda values: (look_up if table.ndim == 1 else look_up_channels)(values, table)


def _concat(layer: Layer, *_: Any) -> Step:
    tables = _as_bytes(layer.constants["tables"])
    axis = layer.attributes["axis"]
    same = np.arange(256, dtype=np.uint8)
    moved = [not np.array_equal(table, same) for table in tables]

    def run(*values: Bytes) -> Bytes:
        parts = [
            look_up(one, table) if move else one
            for one, table, move in zip(values, tables, moved, strict=True)
        ]
        return np.concatenate(parts, axis)

    return run


def _resize_nearest(layer: Layer, *_: Any) -> Step:
    down, across = layer.attributes["factors"]
    return lambda values: values.repeat(down, axis=2).repeat(across, axis=3)


def _transpose(layer: Layer, *_: Any) -> Step:
    axes = layer.attributes["axes"]
    return lambda values: values.transpose(axes)


def _reshape(layer: Layer, *_: Any) -> Step:
    shape = layer.attributes["shape"]
    return lambda values: values.reshape(shape)


def _slice(layer: Layer, *_: Any) -> Step:
    names = ("starts", "stops", "steps")
    window = tuple(map(slice, *(layer.attributes[name] for name in names)))
    return lambda values: values[window]


_STEPS: dict[str, Callable[..., Step]] = {
    "conv": _conv,
    "gemm": _gemm,
    "add": _add,
    "mul": _mul,
    "average_pool": _average_pool,
    "max_pool": _max_pool,
    "lookup": _lookup,
    "concat": _concat,
    "resize_nearest": _resize_nearest,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
}

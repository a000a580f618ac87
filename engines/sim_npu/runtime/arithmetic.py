"""The device's operators, fast: one function a layer, bit for bit as docs/npu.md has them.

Tensors are kept as ``u = q + 128`` in uint8; see `sums`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.runtime.rescaling import RESCALINGS, rescale, to_bytes
from engines.sim_npu.runtime.sums import Bytes, Convolution, centred, look_up, look_up_channels

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
    constants = layer.constants
    convolution = Convolution(
        inputs[0].shape,
        inputs[0].zero_point,
        constants["weights"],
        constants["bias"],
        layer.attributes,
        threads,
    )
    rescaling = RESCALINGS[rounding](constants, output.zero_point)
    return lambda values: rescale(convolution(values), rescaling)


def _gemm(layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, _: int) -> Step:
    weights = layer.constants["weights"].astype(np.float64).T.copy()
    bias = layer.constants["bias"].astype(np.float64)
    table = centred(inputs[0].zero_point, np.float64)
    rescaling = RESCALINGS[rounding](layer.constants, output.zero_point)
    return lambda values: rescale(look_up(values, table) @ weights + bias, rescaling)


def _average_pool(
    layer: Layer, inputs: list[Tensor], output: Tensor, rounding: str, threads: int
) -> Step:
    """A convolution with ones."""
    channels = inputs[0].shape[1]
    geometry = {**layer.attributes, "dilations": [1, 1], "groups": channels}
    convolution = Convolution(
        inputs[0].shape,
        inputs[0].zero_point,
        np.ones((channels, 1, *layer.attributes["kernel"]), np.int8),
        np.zeros(channels, np.int32),
        geometry,
        threads,
    )
    rescaling = RESCALINGS[rounding](layer.constants, output.zero_point)
    return lambda values: rescale(convolution(values), rescaling)


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
    if rounding == "float":
        return _float_pair(inputs, output, combine)
    rescaling = RESCALINGS[rounding](layer.constants, output.zero_point)
    tables = [centred(tensor.zero_point, np.float64) for tensor in inputs]
    # A sum has a factor for each input, a product one for both.
    for table, factor in zip(tables, rescaling.factors, strict=False):
        table *= factor

    def run(a: Bytes, b: Bytes) -> Bytes:
        work = combine(look_up(a, tables[0]), look_up(b, tables[1]))
        out = np.empty(work.shape, np.uint8)
        rescaling.finish(work, out)
        return out

    return run


def _float_pair(inputs: list[Tensor], output: Tensor, combine: np.ufunc) -> Step:
    """DequantizeLinear of both, the operation, QuantizeLinear."""
    tables = [centred(one.zero_point, np.float32) * np.float32(one.scale) for one in inputs]
    scale, offset = np.float32(output.scale), output.zero_point + 128

    def run(a: Bytes, b: Bytes) -> Bytes:
        work = combine(look_up(a, tables[0]), look_up(b, tables[1])) / scale
        np.rint(work, out=work)
        work += offset
        out = np.empty(work.shape, np.uint8)
        to_bytes(work, out)
        return out

    return run


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

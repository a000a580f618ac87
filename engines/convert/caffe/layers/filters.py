"""Layers that weigh neighbourhoods: convolutions, and the inner product."""

from __future__ import annotations

from math import prod

import numpy as np

from engines.convert.caffe.building import Work
from engines.convert.caffe.layers.window import Pair, pair


def convolution(work: Work) -> None:
    """2-D convolution with bias."""
    _convolution(work, work.parameters("convolution_param").integer("group", 1, 1))


def depthwise_convolution(work: Work) -> None:
    """Convolution of each channel by itself; its group need not be written."""
    work.require(rank=4)
    group = work.parameters("convolution_param").integer("group", 1, 1)
    _convolution(work, group if group > 1 else work.shapes[0][1])


def _convolution(work: Work, group: int) -> None:
    work.require(rank=4)
    batch, channels, *size = work.shapes[0]
    geometry, filters = _Geometry(work), _filters(work, group)
    weights = work.blob(0, "weights", (filters, channels // group, *geometry.kernel))
    result = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, *geometry.all, strict=True)
    ]
    inputs = [work.inputs[0], work.constant(weights), *_bias(work, "convolution_param", filters)]
    tensor = work.node("Conv", *inputs, group=group, **geometry.attributes)
    work.give(tensor, (batch, filters, *result))


def deconvolution(work: Work) -> None:
    """The transpose of a convolution, which enlarges."""
    work.require(rank=4)
    batch, channels, *size = work.shapes[0]
    group = work.parameters("convolution_param").integer("group", 1, 1)
    geometry, filters = _Geometry(work), _filters(work, group)
    weights = work.blob(0, "weights", (channels, filters // group, *geometry.kernel))
    result = [
        s * (n - 1) + d * (k - 1) + 1 - 2 * p
        for n, k, s, p, d in zip(size, *geometry.all, strict=True)
    ]
    inputs = [work.inputs[0], work.constant(weights), *_bias(work, "convolution_param", filters)]
    tensor = work.node("ConvTranspose", *inputs, group=group, **geometry.attributes)
    work.give(tensor, (batch, filters, *result))


def inner_product(work: Work) -> None:
    """All axes from `axis` on as one vector, times a matrix."""
    work.require()
    parameters, shape = work.parameters("inner_product_param"), work.shapes[0]
    axis = work.axis(parameters.integer("axis", 1, low=-8), len(shape))
    columns = prod(shape[axis:])
    outputs = parameters.integer("num_output", 0, 1)
    transposed = parameters.boolean("transpose", False)
    matrix = work.blob(0, "weights", (columns, outputs) if transposed else (outputs, columns))
    flat = work.node("Flatten", work.inputs[0], axis=axis)
    inputs = [flat, work.constant(matrix), *_bias(work, "inner_product_param", outputs)]
    tensor = work.node("Gemm", *inputs, transB=int(not transposed))
    result = (*shape[:axis], outputs)
    if axis != 1:
        tensor = work.node("Reshape", tensor, work.constant(result, np.int64))
    work.give(tensor, result)


class _Geometry:
    """Kernel, stride, pad and dilation of a (de)convolution, each (vertical, horizontal)."""

    def __init__(self, work: Work) -> None:
        parameters = work.parameters("convolution_param")
        self.kernel = pair(work, parameters, "kernel", 1, None)
        self.stride = pair(work, parameters, "stride", 1, 1)
        self.pad = pair(work, parameters, "pad", 0, 0)
        self.dilation = pair(work, parameters, "dilation", 1, 1)

    @property
    def all(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, self.stride, self.pad, self.dilation

    @property
    def attributes(self) -> dict[str, Pair | tuple[int, ...]]:
        """As ONNX has them."""
        return {
            "kernel_shape": self.kernel,
            "strides": self.stride,
            "pads": self.pad * 2,
            "dilations": self.dilation,
        }


def _filters(work: Work, group: int) -> int:
    """How many filters there are; they and the channels must be whole groups."""
    filters = work.parameters("convolution_param").integer("num_output", 0, 1)
    channels = work.shapes[0][1]
    if filters % group or channels % group:
        raise work.error(f"{group} groups of {channels} channels and {filters} filters")
    return filters


def _bias(work: Work, parameters: str, count: int) -> list[str]:
    if not work.parameters(parameters).boolean("bias_term", True):
        return []
    return [work.constant(work.blob(1, "biases", (count,)))]

"""Layers that add and multiply: element-wise, with learned factors, and normalisations."""

from __future__ import annotations

from math import prod

import numpy as np

from engines.convert.caffe.building import Work
from engines.convert.caffe.network import Shape

_OPERATIONS = {"PROD": "Mul", "0": "Mul", "SUM": "Add", "1": "Add", "MAX": "Max", "2": "Max"}


def eltwise(work: Work) -> None:
    """Sum with coefficients, product, or maximum of several tensors of one shape."""
    work.require(bottoms=2)
    parameters = work.parameters("eltwise_param")
    operation = parameters.string("operation", "SUM")
    if operation not in _OPERATIONS:
        raise work.error(f"operation: {operation} cannot be converted; PROD, SUM and MAX can")
    if len(set(work.shapes)) > 1:
        raise work.error(f"expected bottoms of one shape, found {work.shapes}")
    tensors = list(work.inputs)
    if coefficients := parameters.numbers("coeff"):
        if len(coefficients) != len(tensors) or _OPERATIONS[operation] != "Add":
            raise work.error("coeff: expected one a bottom, for operation SUM")
        tensors = [
            tensor if factor == 1 else work.node("Mul", tensor, work.constant(factor))
            for tensor, factor in zip(tensors, coefficients, strict=True)
        ]
    result = tensors[0]
    for tensor in tensors[1:]:
        result = work.node(_OPERATIONS[operation], result, tensor)
    work.give(result, work.shapes[0])


def batch_norm(work: Work) -> None:
    """y = (x - mean) / sqrt(variance + eps), both learned and stored times a common factor."""
    work.require()
    shape = work.shapes[0]
    if len(shape) < 2:
        raise work.error(f"expected a bottom with channels, found {list(shape)}")
    parameters = work.parameters("batch_norm_param")
    if not parameters.boolean("use_global_stats", True):
        raise work.error("use_global_stats: false computes other statistics with each batch")
    channels = (shape[1],)
    factor = float(work.blob(2, "scale factor", (1,))[0])
    unit = 0.0 if factor == 0 else 1.0 / factor
    mean = work.blob(0, "means", channels) * np.float32(unit)
    variance = work.blob(1, "variances", channels) * np.float32(unit)
    statistics = [work.constant(v) for v in (np.ones(channels), np.zeros(channels), mean, variance)]
    tensor = work.node(
        "BatchNormalization", work.inputs[0], *statistics, epsilon=parameters.number("eps", 1e-5)
    )
    work.give(tensor, shape)


def scale(work: Work) -> None:
    """Times learned factors or the second bottom, plus learned biases."""
    work.require()
    shape, learned = _along(work, "scale_param"), len(work.inputs) == 1
    factors = work.constant(work.blob(0, "factors", shape)) if learned else _second(work, shape)
    tensor = work.node("Mul", work.inputs[0], factors)
    if work.parameters("scale_param").boolean("bias_term", False):
        biases = work.constant(work.blob(int(learned), "biases", shape))
        tensor = work.node("Add", tensor, biases)
    work.give(tensor, work.shapes[0])


def bias(work: Work) -> None:
    """Plus learned biases, or plus the second bottom."""
    work.require()
    shape, learned = _along(work, "bias_param"), len(work.inputs) == 1
    biases = work.constant(work.blob(0, "biases", shape)) if learned else _second(work, shape)
    work.give(work.node("Add", work.inputs[0], biases), work.shapes[0])


def local_response_normalisation(work: Work) -> None:
    """x / (k + alpha · mean of x² around it) ^ beta, over channels or over the picture."""
    work.require(rank=4)
    parameters, source = work.parameters("lrn_param"), work.inputs[0]
    size = parameters.integer("local_size", 5, 1, 1 << 16)
    if size % 2 == 0:
        raise work.error(f"local_size: expected an odd number, found {size}")
    alpha, beta = parameters.number("alpha", 1.0), parameters.number("beta", 0.75)
    k = parameters.number("k", 1.0)
    if parameters.string("norm_region", "ACROSS_CHANNELS") in ("ACROSS_CHANNELS", "0"):
        tensor = work.node("LRN", source, size=size, alpha=alpha, beta=beta, bias=k)
    else:
        mean = work.node(
            "AveragePool",
            work.node("Mul", source, source),
            kernel_shape=[size, size],
            pads=[size // 2] * 4,
            count_include_pad=1,
        )
        scaled = work.node("Mul", mean, work.constant(alpha))
        # Caffe has no k within a channel.
        total = work.node("Add", scaled, work.constant(1.0))
        tensor = work.node("Div", source, work.node("Pow", total, work.constant(beta)))
    work.give(tensor, work.shapes[0])


def _along(work: Work, name: str) -> Shape:
    """The second operand's shape with as many axes as the first's, along which it is the same.

    It lies along the first operand's axes from `axis` on.
    """
    shape, parameters = work.shapes[0], work.parameters(name)
    axis = work.axis(parameters.integer("axis", 1, low=-8), len(shape))
    count = parameters.integer("num_axes", 1, low=-1)
    if len(work.inputs) > 1:
        count = len(work.shapes[1])
    end = len(shape) if count == -1 else min(axis + count, len(shape))
    return (*[1] * axis, *shape[axis:end], *[1] * (len(shape) - end))


def _second(work: Work, shape: Shape) -> str:
    """The second bottom in that shape."""
    if prod(work.shapes[1]) != prod(shape):
        raise work.error(f"expected {list(shape)} as second bottom, found {list(work.shapes[1])}")
    return work.node("Reshape", work.inputs[1], work.constant(shape, np.int64))

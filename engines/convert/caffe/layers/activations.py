"""Layers that look at each element by itself, and Softmax."""

from __future__ import annotations

from engines.convert.caffe.building import Work


def absolute(work: Work) -> None:
    """y = |x|."""
    _unary(work, "Abs")


def sigmoid(work: Work) -> None:
    """y = 1 / (1 + exp(-x))."""
    _unary(work, "Sigmoid")


def tanh(work: Work) -> None:
    """y = tanh(x)."""
    _unary(work, "Tanh")


def elu(work: Work) -> None:
    """y = x above 0, alpha (exp(x) - 1) below."""
    _unary(work, "Elu", alpha=work.parameters("elu_param").number("alpha", 1.0))


def relu(work: Work) -> None:
    """y = x above 0, negative_slope x below."""
    slope = work.parameters("relu_param").number("negative_slope", 0.0)
    if slope == 0:
        _unary(work, "Relu")
    else:
        _unary(work, "LeakyRelu", alpha=slope)


def relu6(work: Work) -> None:
    """y = x between 0 and 6."""
    work.require()
    clipped = work.node("Clip", work.inputs[0], work.constant(0), work.constant(6))
    work.give(clipped, work.shapes[0])


def prelu(work: Work) -> None:
    """y = x above 0, below it a learned slope of the channel times x."""
    work.require()
    shape = work.shapes[0]
    if len(shape) < 2:
        raise work.error(f"expected a bottom with channels, found {list(shape)}")
    shared = work.parameters("prelu_param").boolean("channel_shared", False)
    slopes = work.blob(0, "slopes", (1 if shared else shape[1], *[1] * (len(shape) - 2)))
    work.give(work.node("PRelu", work.inputs[0], work.constant(slopes)), shape)


def power(work: Work) -> None:
    """y = (shift + scale x) ^ power."""
    work.require()
    parameters = work.parameters("power_param")
    tensor = work.inputs[0]
    if (factor := parameters.number("scale", 1.0)) != 1:
        tensor = work.node("Mul", tensor, work.constant(factor))
    if shift := parameters.number("shift", 0.0):
        tensor = work.node("Add", tensor, work.constant(shift))
    if (exponent := parameters.number("power", 1.0)) != 1:
        tensor = work.node("Pow", tensor, work.constant(exponent))
    work.give(tensor, work.shapes[0])


def softmax(work: Work) -> None:
    """Probabilities along one axis, the channels by default."""
    work.require()
    axis = work.parameters("softmax_param").integer("axis", 1, low=-8)
    _unary(work, "Softmax", axis=work.axis(axis, len(work.shapes[0])))


def _unary(work: Work, operator: str, **attributes: float) -> None:
    work.require()
    work.give(work.node(operator, work.inputs[0], **attributes), work.shapes[0])

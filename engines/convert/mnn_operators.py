"""ONNX operators in MNN's expressions (`MNN.expr`), by their name.

Variables hold NCHW, or MNN's own layout of four channels at a time (NC4HW4), which convolutions and
pools want; what does not care about the layout keeps it. Window sizes are (x, y) in MNN, (rows,
columns) in ONNX. Specification: https://github.com/onnx/onnx/blob/main/docs/Operators.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.errors import ProgramError

Shape = tuple[int, ...]

#: What ``Resize`` of opset 10 always did and later ones are told.
_RESIZE_10 = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph on its way into MNN.

    Attributes:
        node: as ONNX has it.
        given: its attributes.
        variables: its inputs as MNN variables, constants included; None where one is left out.
        known: the values of all constants of the graph.
        shapes: of the graph's tensors for a batch of one.
        opset: version of the operators.
        F: the module `MNN.expr`.
    """

    node: Any
    given: dict[str, Any]
    variables: list[Any]
    known: Constants
    shapes: dict[str, Shape]
    opset: int
    F: Any

    @property
    def x(self) -> Any:
        """The first input."""
        return self.variables[0]

    @property
    def in_shape(self) -> Shape:
        """Shape of the first input."""
        return self.shapes[self.node.input[0]]

    @property
    def out_shape(self) -> Shape:
        """Shape of the first output."""
        return self.shapes[self.node.output[0]]

    def value(self, index: int, name: str = "") -> NDArray[Any] | None:
        """An argument that must be constant: an input, or an attribute in older operators."""
        if name in self.given:
            return np.asarray(self.given[name])
        if index >= len(self.node.input) or not self.node.input[index]:
            return None
        if self.node.input[index] not in self.known:
            raise ProgramError(f"{self.node.op_type}: input {index} is computed at run time")
        return self.known[self.node.input[index]]

    def axis(self, default: int) -> int:
        """The attribute ``axis``, counted from the front."""
        return int(self.given.get("axis", default)) % len(self.in_shape)

    def nchw(self, variable: Any) -> Any:
        """A variable in plain layout."""
        F = self.F
        return F.convert(variable, F.NCHW) if variable.data_format == F.NC4HW4 else variable

    def c4(self, variable: Any) -> Any:
        """A variable in MNN's own layout."""
        F = self.F
        return variable if variable.data_format == F.NC4HW4 else F.convert(variable, F.NC4HW4)

    def const(self, array: Any) -> Any:
        """A constant: real numbers as float32, whole ones as int32."""
        array = np.asarray(array)
        whole = array.dtype.kind in "iu"
        kind, dtype = (self.F.int, np.int32) if whole else (self.F.float, np.float32)
        content = array.astype(dtype, order="C") if array.ndim else [array.item()]
        return self.F.const(content, list(array.shape), self.F.NCHW, kind)


Operator = Callable[[Step], Any]


def _unary(name: str) -> Operator:
    return lambda s: getattr(s.F, name)(s.x)


def _binary(name: str) -> Operator:
    def operator(s: Step) -> Any:
        a, b = s.variables
        if not (a.data_format == b.data_format and a.shape == b.shape):
            a, b = s.nchw(a), s.nchw(b)
        return getattr(s.F, name)(a, b)

    return operator


def _conv(s: Step) -> Any:
    weight, bias = s.value(1), s.value(2)
    if weight is None or weight.ndim != 4 or s.given.get("auto_pad", "NOTSET") != "NOTSET":
        raise ProgramError("Conv: expected constant weights of four axes and explicit pads")
    if bias is None:
        bias = np.zeros(len(weight), np.float32)
    x, (top, left, bottom, right) = s.x, s.given.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = _padded(s, x, [0, 0, top, left, 0, 0, bottom, right]), 0, 0

    def convolve(x: Any, weight: NDArray[Any], bias: NDArray[Any], group: int) -> Any:
        return s.F.conv2d(
            s.c4(x),
            s.const(weight),
            s.const(bias),
            _xy(s.given.get("strides")),
            (left, top),
            _xy(s.given.get("dilations")),
            group,
            s.F.Padding_Mode.CAFFE,
        )

    group = s.given.get("group", 1)
    depthwise = group == len(weight) and weight.shape[1] == 1
    if group == 1 or depthwise:  # MNN gets what lies between wrong
        return convolve(x, weight, bias, group)
    parts = s.F.split(s.nchw(x), [s.in_shape[1] // group] * group, 1)
    weights, biases = np.split(weight, group), np.split(bias, group)
    return s.F.concat([convolve(*each, 1) for each in zip(parts, weights, biases, strict=True)], 1)


def _max_pool(s: Step) -> Any:
    """MNN rounds the number of windows up: what that is more than ONNX wants is cut off."""
    top, left, _, _ = s.given.get("pads", [0, 0, 0, 0])
    caffe = s.F.Padding_Mode.CAFFE
    kernel, strides = _xy(s.given["kernel_shape"]), _xy(s.given.get("strides"))
    pooled = s.F.max_pool(s.c4(s.x), kernel, strides, caffe, (left, top))
    if tuple(pooled.shape) == s.out_shape:
        return pooled
    return _cut(s, pooled, [(0, n, 1) for n in s.out_shape], tuple(pooled.shape))


def _average_pool(s: Step) -> Any:
    pads = s.given.get("pads", [0, 0, 0, 0])
    if any(pads) and not s.given.get("count_include_pad", 0):
        raise ProgramError("AveragePool: pads that do not count are not supported")
    x = _padded(s, s.x, [0, 0, *pads[:2], 0, 0, *pads[2:]]) if any(pads) else s.x
    return s.F.avg_pool(s.c4(x), _xy(s.given["kernel_shape"]), _xy(s.given.get("strides")))


def _global_average_pool(s: Step) -> Any:
    return s.F.reduce_mean(s.nchw(s.x), [2, 3], True)


def _gemm(s: Step) -> Any:
    product = s.F.matmul(
        s.nchw(s.x),
        s.nchw(s.variables[1]),
        bool(s.given.get("transA", 0)),
        bool(s.given.get("transB", 0)),
    )
    alpha, beta = s.given.get("alpha", 1.0), s.given.get("beta", 1.0)
    if alpha != 1.0:
        product = s.F.multiply(product, s.const(np.float32(alpha)))
    if len(s.variables) < 3:
        return product
    bias = s.value(2)
    added = s.variables[2] if bias is None else s.const(bias * np.float32(beta))
    return s.F.add(product, added)


def _batch_normalization(s: Step) -> Any:
    """(x - mean) / sqrt(variance + ε) · scale + bias, with the constants drawn together."""
    scale, bias, mean, variance = (np.asarray(s.value(n), np.float64) for n in range(1, 5))
    factor = scale / np.sqrt(variance + s.given.get("epsilon", 1e-5))
    shape = [1, -1] + [1] * (len(s.in_shape) - 2)
    scaled = s.F.multiply(s.nchw(s.x), s.const(factor.reshape(shape)))
    return s.F.add(scaled, s.const((bias - mean * factor).reshape(shape)))


def _clip(s: Step) -> Any:
    low, high = s.value(1, "min"), s.value(2, "max")
    x = s.nchw(s.x)
    x = x if low is None else s.F.maximum(x, s.const(low))
    return x if high is None else s.F.minimum(x, s.const(high))


def _leaky_relu(s: Step) -> Any:
    return s.F.relu(s.x, s.given.get("alpha", 0.01))


def _hard_sigmoid(s: Step) -> Any:
    return _hard(s, s.given.get("alpha", 0.2), s.given.get("beta", 0.5))


def _hard_swish(s: Step) -> Any:
    return s.F.multiply(s.nchw(s.x), _hard(s, 1 / 6, 0.5))


def _hard(s: Step, slope: float, offset: float) -> Any:
    sloped = s.F.multiply(s.nchw(s.x), s.const(np.float32(slope)))
    return s.F.relu6(s.F.add(sloped, s.const(np.float32(offset))), 0.0, 1.0)


def _concat(s: Step) -> Any:
    axis = s.axis(1)
    same = all(v.data_format == s.F.NC4HW4 for v in s.variables)
    return s.F.concat(s.variables if same else [s.nchw(v) for v in s.variables], axis)


def _softmax(s: Step) -> Any:
    axis = s.axis(-1 if s.opset >= 13 else 1)
    if s.opset < 13 and axis != len(s.in_shape) - 1:
        raise ProgramError("Softmax: before opset 13 the last axis only")
    return s.F.softmax(s.nchw(s.x), axis)


def _transpose(s: Step) -> Any:
    return s.F.transpose(s.nchw(s.x), s.given.get("perm", range(len(s.in_shape))[::-1]))


def _reshape(s: Step) -> Any:
    """Every operator that only names the axes anew; a batch of one becomes any batch."""
    shape = list(s.out_shape)
    if -1 in shape:
        raise ProgramError(f"{s.node.op_type}: its shape is computed at run time")
    if shape and s.in_shape and shape[0] == s.in_shape[0] == 1:
        shape[0] = -1
    return s.F.reshape(s.nchw(s.x), shape)


def _slice(s: Step) -> Any:
    cut = onnx_graph.slices(s.node, s.known)
    if cut is None or any(c.step < 1 for c in cut):
        raise ProgramError("Slice: expected constant bounds and positive steps")
    ranges = [(0, n, 1) for n in s.in_shape]
    for c in cut:
        axis = c.axis % len(ranges)
        length = s.in_shape[axis]
        ranges[axis] = (*slice(c.start, c.stop).indices(length)[:2], c.step)
    return _cut(s, s.x, ranges, s.in_shape)


def _split(s: Step) -> Any:
    axis = s.axis(0)
    parts = [s.shapes[name][axis] for name in s.node.output]
    return s.F.split(s.nchw(s.x), parts, axis)


def _gather(s: Step) -> Any:
    """Elements at constant places of one axis, each cut out; a single place drops the axis."""
    places, axis = s.value(1), s.axis(0)
    if places is None or places.ndim > 1:
        raise ProgramError("Gather: expected constant indices of at most one axis")
    picked = []
    for place in np.atleast_1d(places) % s.in_shape[axis]:
        ranges = [(0, n, 1) for n in s.in_shape]
        ranges[axis] = (int(place), int(place) + 1, 1)
        picked.append(_cut(s, s.x, ranges, s.in_shape))
    joined = picked[0] if len(picked) == 1 else s.F.concat(picked, axis)
    return s.F.squeeze(joined, [axis]) if places.ndim == 0 else joined


def _pad(s: Step) -> Any:
    pads, fill = s.value(1, "pads"), s.value(2, "value")
    if pads is None or s.given.get("mode", "constant") != "constant" or (fill is not None and fill):
        raise ProgramError("Pad: expected constant zeros around")
    return _padded(s, s.x, pads.tolist()) if pads.any() else s.x


def _resize(s: Step) -> Any:
    """Rows and columns each multiplied with the matrix of their interpolation."""
    if s.out_shape[:2] != s.in_shape[:2]:
        raise ProgramError("Resize: expected the first two axes untouched")
    rows, columns = (_interpolation(s, axis) for axis in (2, 3))
    return s.F.matmul(s.const(rows), s.F.matmul(s.nchw(s.x), s.const(columns.T)))


def _interpolation(s: Step, axis: int) -> NDArray[Any]:
    """The matrix (output length, input length) a ``Resize`` multiplies an axis with.

    Its columns are the unit vectors as ONNX's own reference resizes them, in whatever mode.
    """
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    before, after = s.in_shape[axis], s.out_shape[axis]
    scales = s.value(len(s.node.input) - 1 if len(s.node.input) < 4 else 2)
    told = scales is not None and scales.size == len(s.in_shape) and scales.dtype == np.float32
    scale = scales[axis] if told and scales is not None else after / before
    given = s.given if s.opset > 10 else s.given | _RESIZE_10
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **given)
    units = np.eye(before, dtype=np.float32).reshape(before, 1, before, 1)
    feeds = {"x": units, "scales": np.array([1, 1, scale, 1], np.float32)}
    (resized,) = ReferenceEvaluator(node, opsets={"": 13}).run(None, feeds)
    return np.asarray(resized, np.float32).reshape(before, after).T


def _reduce(name: str) -> Operator:
    def operator(s: Step) -> Any:
        axes = s.value(1, "axes")
        chosen = range(len(s.in_shape)) if axes is None else axes.tolist()
        axes_list = [int(n) % len(s.in_shape) for n in chosen]
        return getattr(s.F, name)(s.nchw(s.x), axes_list, bool(s.given.get("keepdims", 1)))

    return operator


def _reduce_l2(s: Step) -> Any:
    x = s.nchw(s.x)
    squares = replace(s, variables=[s.F.multiply(x, x)])
    return s.F.sqrt(_reduce("reduce_sum")(squares))


def _expand(s: Step) -> Any:
    """By multiplying with ones, which keeps an open batch open."""
    return s.F.multiply(s.nchw(s.x), s.const(np.ones((1, *s.out_shape[1:]), np.float32)))


def _identity(s: Step) -> Any:
    return s.x


def _xy(rows_columns: Sequence[int] | None) -> tuple[int, int]:
    rows, columns = rows_columns or (1, 1)
    return columns, rows


def _padded(s: Step, x: Any, pads: list[int]) -> Any:
    """With zeros around; pads as ONNX has them: all begins, then all ends."""
    return s.F.pad(s.nchw(x), s.const(np.array(pads).reshape(2, -1).T))


def _cut(s: Step, x: Any, ranges: list[tuple[int, int, int]], shape: Shape) -> Any:
    """Elements ``start, start + step, …`` before ``stop`` of each axis; whole axes stay open."""
    whole = sum(1 << n for n, r in enumerate(ranges) if r == (0, shape[n], 1))
    starts, stops, steps = np.array(ranges).T
    return s.F.strided_slice(
        s.nchw(x), s.const(starts), s.const(stops), s.const(steps), whole, whole
    )


OPERATORS: dict[str, Operator] = {
    "Add": _binary("add"),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _binary("divide"),
    "Exp": _unary("exp"),
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _identity,
    "LeakyRelu": _leaky_relu,
    "MatMul": lambda s: s.F.matmul(s.nchw(s.x), s.nchw(s.variables[1])),
    "MaxPool": _max_pool,
    "Mul": _binary("multiply"),
    "Neg": _unary("negative"),
    "Pad": _pad,
    "ReduceL2": _reduce_l2,
    "ReduceMean": _reduce("reduce_mean"),
    "ReduceSum": _reduce("reduce_sum"),
    "Relu": _unary("relu"),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _unary("sigmoid"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _unary("sqrt"),
    "Squeeze": _reshape,
    "Sub": _binary("subtract"),
    "Tanh": _unary("tanh"),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}

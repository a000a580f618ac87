"""What each ONNX operator becomes in TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph
from engines.convert.litert.layout import PLAIN, Translation
from engines.convert.litert.windows import average_pool, convolution, max_pool
from engines.errors import ProgramError

Operator = Callable[[Translation, Any], None]


def _unary(name: str, options: str = "") -> Operator:
    def translate(to: Translation, node: Any) -> None:
        order = to.order(node.input[0])
        source = to.get(node.input[0], order)
        to.writer.operator(name, [source], to.define(node.output[0], order), options)

    return translate


def _binary(name: str, options: str = "", activates: bool = False) -> Operator:
    def translate(to: Translation, node: Any) -> None:
        order = to.order(*node.input)
        sources = [to.get(source, order) for source in node.input]
        result = to.define(node.output[0], order)
        made = to.writer.operator(name, sources, result, options)
        if activates:
            to.can_activate(result, made)

    return translate


def _relu(to: Translation, node: Any) -> None:
    if not to.activate(node.output[0], node.input[0], "RELU"):
        _unary("RELU")(to, node)


def _clip(to: Translation, node: Any) -> None:
    given = graph.attributes(node)
    names = [*node.input[1:], "", ""][:2]
    limits = [to.constant(name) if name else None for name in names]
    if any(name and limit is None for name, limit in zip(names, limits, strict=True)):
        raise ProgramError("limits that are computed are not translated")
    low, high = (
        given.get(key, default) if limit is None else float(limit)
        for key, default, limit in zip(("min", "max"), (-np.inf, np.inf), limits, strict=True)
    )
    kind = {(0.0, np.inf): "RELU", (0.0, 6.0): "RELU6"}.get((float(low), float(high)))
    if kind and to.activate(node.output[0], node.input[0], kind):
        return
    if kind:
        _unary(kind)(to, node)
    else:
        _limited(to, node, low, high)


def _limited(to: Translation, node: Any, low: float, high: float) -> None:
    order = to.order(node.input[0])
    index = to.get(node.input[0], order)
    for name, limit in (("MAXIMUM", low), ("MINIMUM", high)):
        if np.isfinite(limit):
            bound = to.writer.constant(np.float32(limit))
            result = to.define(node.output[0], order)
            to.writer.operator(name, [index, bound], result, "MaximumMinimumOptions")
            index = result
    if index == to.get(node.input[0], order):
        to.same(node.output[0], node.input[0])


def _leaky_relu(to: Translation, node: Any) -> None:
    order = to.order(node.input[0])
    alpha = graph.attributes(node).get("alpha", 0.01)
    source = to.get(node.input[0], order)
    result = to.define(node.output[0], order)
    to.writer.operator("LEAKY_RELU", [source], result, "LeakyReluOptions", alpha=alpha)


def _identity(to: Translation, node: Any) -> None:
    to.same(node.output[0], node.input[0])


def _expand(to: Translation, node: Any) -> None:
    """Nothing where nothing grows, or where every reader broadcasts by itself."""
    source, result = node.input[0], node.output[0]
    readers = [other for other in to.graph.node if result in other.input]
    read_out = result in {value.name for value in to.graph.output}
    broadcast = not read_out and all(other.op_type in BROADCASTING for other in readers)
    if broadcast or to.probe.open_shapes[source] == to.probe.open_shapes[result]:
        to.same(result, source)
        return
    shape = to.probe.open_shapes[result]
    if -1 in shape:
        raise ProgramError("growing to a length that is open is not translated")
    indices = [to.get(source), to.integers(shape)]
    to.writer.operator("BROADCAST_TO", indices, to.define(result), "BroadcastToOptions")


def _reshape(to: Translation, node: Any) -> None:
    """Also Flatten, Squeeze and Unsqueeze: the shape that comes out is known."""
    shape = to.probe.open_shapes[node.output[0]]
    if shape.count(-1) > 1:
        raise ProgramError(f"a shape with several open lengths is not translated: {list(shape)}")
    source = to.get(node.input[0])
    result = to.define(node.output[0])
    to.writer.operator(
        "RESHAPE", [source, to.integers(shape)], result, "ReshapeOptions", newShape=list(shape)
    )


def _transpose(to: Translation, node: Any) -> None:
    rank = len(to.probe.shapes[node.input[0]])
    permutation = graph.attributes(node).get("perm", range(rank)[::-1])
    to.transposed(node.output[0], node.input[0], tuple(permutation))


def _concat(to: Translation, node: Any) -> None:
    order = to.order(*node.input)
    (axis,) = to.axes([graph.attributes(node)["axis"]], node.output[0], order)
    sources = [to.get(name, order) for name in node.input]
    result = to.define(node.output[0], order)
    to.writer.operator("CONCATENATION", sources, result, "ConcatenationOptions", axis=axis)


def _slice(to: Translation, node: Any) -> None:
    known = to.probe.constants
    slices = graph.slices(node, known)
    if slices is None:
        raise ProgramError("limits that are computed are not translated")
    if any(part.step < 1 for part in slices):
        raise ProgramError("steps backwards are not translated")
    _cut(to, node.input[0], node.output[0], [(s.axis, s.start, s.stop, s.step) for s in slices])


def _cut(
    to: Translation, source: str, result: str, parts: Sequence[tuple[int, int, int, int]]
) -> None:
    """Takes ``start, start + step, …`` before ``stop`` of each axis that is named."""
    order = to.order(source)
    index = to.get(source, order)
    is_open, shape = to.probe.open_shapes[source], to.probe.shapes[source]
    rank = len(shape)
    begin, end, steps, to_the_end = [0] * rank, [0] * rank, [1] * rank, (1 << rank) - 1
    for axis, start, stop, step in parts:
        (place,) = to.axes([axis], source, order)
        length = shape[axis]
        if is_open[axis] < 0 and (start < 0 or -length < stop < length):
            raise ProgramError(f"cutting axis {axis}, whose length is open, is not translated")
        begin[place], end[place], _ = slice(start, stop).indices(length)
        steps[place] = step
        if stop < length:
            to_the_end &= ~(1 << place)
    indices = [index, *map(to.integers, (begin, end, steps))]
    made = to.define(result, order)
    to.writer.operator("STRIDED_SLICE", indices, made, "StridedSliceOptions", endMask=to_the_end)


def _split(to: Translation, node: Any) -> None:
    axis = graph.attributes(node).get("axis", 0)
    start = 0
    for name in node.output:
        length = to.probe.shapes[name][axis]
        _cut(to, node.input[0], name, [(axis, start, start + length, 1)])
        start += length


def _gather(to: Translation, node: Any) -> None:
    indices = to.constant(node.input[1])
    if indices is None:
        raise ProgramError("indices that are computed are not translated")
    (axis,) = to.axes([graph.attributes(node).get("axis", 0)], node.input[0], PLAIN)
    positive = indices % to.probe.shapes[node.input[0]][axis]
    operands = [to.get(node.input[0]), to.writer.constant(positive.astype(np.int32))]
    to.writer.operator("GATHER", operands, to.define(node.output[0]), "GatherOptions", axis=axis)


def _pad(to: Translation, node: Any) -> None:
    given = graph.attributes(node)
    if given.get("mode", "constant") != "constant":
        raise ProgramError(f"mode {given['mode']} is not translated")
    pads = given.get("pads") or _required(to, node.input[1]).tolist()
    value = given.get("value", 0.0)
    if len(node.input) > 2 and node.input[2]:
        value = float(_required(to, node.input[2]))
    order = to.order(node.input[0])
    rank = len(pads) // 2
    table = np.zeros((rank, 2), np.int32)
    table[to.axes(range(rank), node.input[0], order)] = np.reshape(pads, (2, rank)).T
    operands = [to.get(node.input[0], order), to.writer.constant(table)]
    result = to.define(node.output[0], order)
    if value:
        operands.append(to.writer.constant(np.float32(value)))
        to.writer.operator("PADV2", operands, result, "PadV2Options")
    else:
        to.writer.operator("PAD", operands, result, "PadOptions")


def _reduced(name: str) -> Operator:
    def translate(to: Translation, node: Any) -> None:
        _reduce(to, node, name, to.get(node.input[0], _reduction_order(to, node)))

    return translate


def _reduce_l2(to: Translation, node: Any) -> None:
    order = _reduction_order(to, node)
    source, result = node.input[0], node.output[0]
    squares = to.define(f"{source}/squares for {result}", order, like=source)
    index = to.get(source, order)
    to.writer.operator("MUL", [index, index], squares, "MulOptions")
    sums = _reduce(to, node, "SUM", squares)
    to.writer.operator("SQRT", [sums], to.define(result, _result_order(to, node)))


def _reduction_order(to: Translation, node: Any) -> str:
    """As it comes, unless the axes that stay would be left in another order."""
    keep = graph.attributes(node).get("keepdims", 1)
    images = sorted(_reduced_axes(to, node)) == [2, 3]
    return to.order(node.input[0]) if keep or images else PLAIN


def _result_order(to: Translation, node: Any) -> str:
    return _reduction_order(to, node) if _keeps_axes(node) else PLAIN


def _keeps_axes(node: Any) -> bool:
    return bool(graph.attributes(node).get("keepdims", 1))


def _reduced_axes(to: Translation, node: Any) -> list[int]:
    rank = len(to.probe.shapes[node.input[0]])
    axes = graph.attributes(node).get("axes")
    if node.op_type == "GlobalAveragePool":
        axes = range(2, rank)
    elif axes is None and len(node.input) > 1:
        axes = _required(to, node.input[1]).tolist()
    return [axis % rank for axis in (range(rank) if axes is None else axes)]


def _reduce(to: Translation, node: Any, name: str, source: int) -> int:
    axes = to.axes(_reduced_axes(to, node), node.input[0], _reduction_order(to, node))
    result = to.define(node.output[0], _result_order(to, node))
    to.writer.operator(
        name, [source, to.integers(axes)], result, "ReducerOptions", keepDims=_keeps_axes(node)
    )
    return result


def _gemm(to: Translation, node: Any) -> None:
    given = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | graph.attributes(node)
    if given["transA"]:
        raise ProgramError("transA is not translated")
    weights = _required(to, node.input[1]) * np.float32(given["alpha"])
    bias = None
    if len(node.input) > 2 and node.input[2]:
        bias = _required(to, node.input[2]) * np.float32(given["beta"])
    _fully_connected(to, node, weights if given["transB"] else weights.T, bias)


def _matmul(to: Translation, node: Any) -> None:
    weights = to.constant(node.input[1])
    if weights is not None and weights.ndim == 2:
        _fully_connected(to, node, weights.T, None)
        return
    operands = [to.get(name) for name in node.input]
    result = to.define(node.output[0])
    to.writer.operator("BATCH_MATMUL", operands, result, "BatchMatMulOptions")


def _fully_connected(
    to: Translation, node: Any, weights: NDArray[Any], bias: NDArray[Any] | None
) -> None:
    """weights: (outputs, inputs)."""
    bias = np.zeros(len(weights), np.float32) if bias is None else bias
    bias = np.broadcast_to(bias.reshape(-1), len(weights))
    operands = [to.get(node.input[0]), to.writer.constant(weights), to.writer.constant(bias)]
    result = to.define(node.output[0])
    made = to.writer.operator(
        "FULLY_CONNECTED", operands, result, "FullyConnectedOptions", keepNumDims=True
    )
    to.can_activate(result, made)


def _batch_normalization(to: Translation, node: Any) -> None:
    scale, bias, mean, variance = (_required(to, name) for name in node.input[1:5])
    factor = scale / np.sqrt(variance + graph.attributes(node).get("epsilon", 1e-5))
    order = to.order(node.input[0])
    rank = len(to.probe.shapes[node.input[0]])
    (axis,) = to.axes([1], node.input[0], order)
    shape = [1] * rank
    shape[axis] = -1
    index = to.get(node.input[0], order)
    for name, values in (("MUL", factor), ("ADD", bias - mean * factor)):
        operand = to.writer.constant(values.astype(np.float32).reshape(shape))
        result = to.define(node.output[0], order)
        made = to.writer.operator(name, [index, operand], result, f"{name.title()}Options")
        index = result
    to.can_activate(index, made)


def _softmax(to: Translation, node: Any) -> None:
    """Over the last axis, which that of the channels is too where it comes last."""
    rank = len(to.probe.shapes[node.input[0]])
    axis = graph.attributes(node).get("axis", -1 if to.opset >= 13 else 1) % rank
    order = to.order(node.input[0]) if axis == 1 else PLAIN
    (place,) = to.axes([axis], node.input[0], order)
    if place != rank - 1 or (to.opset < 13 and axis != rank - 1):  # before, all axes from there on
        raise ProgramError(f"axis {axis} of {rank}, which is not the last, is not translated")
    source = to.get(node.input[0], order)
    result = to.define(node.output[0], order)
    to.writer.operator("SOFTMAX", [source], result, "SoftmaxOptions", beta=1.0)


def _resize(to: Translation, node: Any) -> None:
    given = graph.attributes(node)
    (_, _, *before), (_, _, *after) = (
        to.probe.shapes[name] for name in (node.input[0], node.output[0])
    )
    mode = given.get("mode", "nearest")
    place = given.get("coordinate_transformation_mode", "half_pixel")
    if -1 in to.probe.open_shapes[node.output[0]][2:]:
        raise ProgramError("a size that is open is not translated; declare the network's inputs")
    grows = all(b % a == 0 for a, b in zip(before, after, strict=True))
    rounds = given.get("nearest_mode", "round_prefer_floor")
    if mode == "nearest" and grows and (place, rounds) in NEAREST:
        name, options, flags = "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", {}
    elif mode == "linear" and place in LINEAR:
        name, options, flags = "RESIZE_BILINEAR", "ResizeBilinearOptions", LINEAR[place]
    else:
        raise ProgramError(f"{mode}, {place}, {rounds} from {before} to {after}: not translated")
    order = "nhwc"
    operands = [to.get(node.input[0], order), to.integers(after)]
    to.writer.operator(name, operands, to.define(node.output[0], order), options, **flags)


def _required(to: Translation, name: str) -> NDArray[Any]:
    value = to.constant(name)
    if value is None:
        raise ProgramError(f"{name!r} is computed; only a constant is translated")
    return value


#: What gives pixel ``floor(x / factor)`` when a picture grows by a whole factor.
NEAREST = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
    ("pytorch_half_pixel", "round_prefer_floor"),
}
LINEAR: dict[str, dict[str, bool]] = {
    "half_pixel": {"halfPixelCenters": True},
    "pytorch_half_pixel": {"halfPixelCenters": True},  # differs for a size of 1 only
    "align_corners": {"alignCorners": True},
    "asymmetric": {},
}
BROADCASTING = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"}

OPERATORS: dict[str, Operator] = {
    "Abs": _unary("ABS"),
    "Add": _binary("ADD", "AddOptions", activates=True),
    "AveragePool": average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _identity,
    "Conv": convolution,
    "Div": _binary("DIV", "DivOptions", activates=True),
    "Dropout": _identity,
    "Exp": _unary("EXP", "ExpOptions"),
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _reduced("MEAN"),
    "HardSwish": _unary("HARD_SWISH", "HardSwishOptions"),
    "Identity": _identity,
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "Max": _binary("MAXIMUM", "MaximumMinimumOptions"),
    "MaxPool": max_pool,
    "Min": _binary("MINIMUM", "MaximumMinimumOptions"),
    "Mul": _binary("MUL", "MulOptions", activates=True),
    "Neg": _unary("NEG", "NegOptions"),
    "Pad": _pad,
    "Pow": _binary("POW", "PowOptions"),
    "ReduceL2": _reduce_l2,
    "ReduceMax": _reduced("REDUCE_MAX"),
    "ReduceMean": _reduced("MEAN"),
    "ReduceSum": _reduced("SUM"),
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _identity,
    "Sigmoid": _unary("LOGISTIC"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _unary("SQRT"),
    "Squeeze": _reshape,
    "Sub": _binary("SUB", "SubOptions", activates=True),
    "Tanh": _unary("TANH"),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}

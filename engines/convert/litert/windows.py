"""Convolutions and pools: what slides a window over a picture, and what is around the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.convert import graph
from engines.convert.litert.layout import NHWC, Translation
from engines.errors import ProgramError

LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True)
class _Window:
    """Sizes (height, width) of a window's movement; pads are before and after each axis."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]

    def is_same(self, to: Translation, node: Any) -> bool:
        """Whether the pads are those TensorFlow chooses by itself for its padding ``SAME``.

        The result then has ``ceil(length / stride)`` windows, and of the pads that this takes the
        smaller half stands in front.
        """
        lengths = to.probe.open_shapes[node.input[0]][2:]
        for length, kernel, stride, dilation, pads in zip(
            lengths, self.kernel, self.strides, self.dilations, self.pads, strict=True
        ):
            if length < 0 and stride != 1:
                return False
            windows = -(-length // stride)
            total = max((windows - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
            if pads != (total // 2, total - total // 2):
                return False
        return True


def convolution(to: Translation, node: Any) -> None:
    """Conv in two dimensions, plain, grouped or depthwise, with constant weights."""
    weights = to.constant(node.input[1])
    bias = to.constant(node.input[2]) if len(node.input) > 2 else np.zeros(1, np.float32)
    if weights is None or bias is None or weights.ndim != 4:
        raise ProgramError("only two dimensions and constant weights are translated")
    window = _window(to, node, weights.shape[2:])
    groups = graph.attributes(node).get("group", 1)
    channels = to.probe.shapes[node.input[0]][1]
    source, padding = _padded(to, node, window, 0.0)
    values = _steps(window) | {
        "padding": padding,
        "dilationHFactor": window.dilations[0],
        "dilationWFactor": window.dilations[1],
    }
    if groups == channels > 1:
        name, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        weights = weights.transpose(1, 2, 3, 0)
        values["depthMultiplier"] = weights.shape[3] // channels
        outputs = weights.shape[3]
    else:
        name, options = "CONV_2D", "Conv2DOptions"
        weights = weights.transpose(0, 2, 3, 1)
        outputs = len(weights)
    operands = [source, to.writer.constant(weights)]
    operands.append(to.writer.constant(np.ascontiguousarray(np.broadcast_to(bias, outputs))))
    result = to.define(node.output[0], NHWC)
    to.can_activate(result, to.writer.operator(name, operands, result, options, **values))


def max_pool(to: Translation, node: Any) -> None:
    """What is around the picture never wins."""
    _pool(to, node, "MAX_POOL_2D", LOWEST)


def average_pool(to: Translation, node: Any) -> None:
    """TensorFlow leaves out what is around the picture; zeros count where ONNX says so."""
    window = _window(to, node, graph.attributes(node)["kernel_shape"])
    padded = any(map(any, window.pads))
    counts = graph.attributes(node).get("count_include_pad", 0)
    if padded and not counts and not window.is_same(to, node):
        raise ProgramError(f"pads {window.pads} that do not count are not translated")
    _pool(to, node, "AVERAGE_POOL_2D", 0.0, zeros_count=bool(counts))


def _pool(to: Translation, node: Any, name: str, around: float, zeros_count: bool = False) -> None:
    window = _window(to, node, graph.attributes(node)["kernel_shape"])
    if window.dilations != (1, 1):
        raise ProgramError("dilations are not translated")
    source, padding = _padded(to, node, window, around, by_hand=zeros_count)
    result = to.define(node.output[0], NHWC)
    to.writer.operator(
        name,
        [source],
        result,
        "Pool2DOptions",
        padding=padding,
        filterHeight=window.kernel[0],
        filterWidth=window.kernel[1],
        **_steps(window),
    )


def _window(to: Translation, node: Any, kernel: Any) -> _Window:
    given = graph.attributes(node)
    if given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ProgramError(f"auto_pad {given['auto_pad']} is not translated")
    if given.get("ceil_mode"):
        raise ProgramError("ceil_mode is not translated")
    top, left, bottom, right = given.get("pads", (0, 0, 0, 0))
    height, width = kernel
    return _Window(
        (height, width),
        tuple(given.get("strides", (1, 1))),
        tuple(given.get("dilations", (1, 1))),
        ((top, bottom), (left, right)),
    )


def _steps(window: _Window) -> dict[str, int]:
    return {"strideH": window.strides[0], "strideW": window.strides[1]}


def _padded(
    to: Translation, node: Any, window: _Window, around: float, by_hand: bool = False
) -> tuple[int, int]:
    """The picture, padded by an operator where TensorFlow cannot, and what it still has to pad."""
    kinds = to.writer.schema.Padding
    source = to.get(node.input[0], NHWC)
    if not any(map(any, window.pads)):
        return source, kinds.VALID
    if not by_hand and window.is_same(to, node):
        return source, kinds.SAME
    table = np.array([(0, 0), *window.pads, (0, 0)], np.int32)
    operands = [source, to.writer.constant(table)]
    shapes = []
    for shape in (to.probe.shapes[node.input[0]], to.probe.open_shapes[node.input[0]]):
        batch, channels, *sizes = shape
        grown = (n if n < 0 else n + sum(pad) for n, pad in zip(sizes, window.pads, strict=True))
        shapes.append((batch, *grown, channels))
    result = to.writer.tensor(shapes[0], shapes[1], np.dtype(np.float32))
    if around:
        operands.append(to.writer.constant(np.float32(around)))
        to.writer.operator("PADV2", operands, result, "PadV2Options")
    else:
        to.writer.operator("PAD", operands, result, "PadOptions")
    return result, kinds.VALID

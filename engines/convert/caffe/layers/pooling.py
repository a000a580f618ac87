"""Pooling, whose windows Caffe counts upwards: the last may reach beyond the picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.convert.caffe.building import Work
from engines.convert.caffe.layers.window import pair

_OPERATORS = {"MAX": "Max", "0": "Max", "AVE": "Average", "1": "Average"}


def pooling(work: Work) -> None:
    """The largest or the mean element of each window, or of the whole picture."""
    work.require(rank=4)
    parameters = work.parameters("pooling_param")
    method = parameters.string("pool", "MAX")
    if method not in _OPERATORS:
        raise work.error(f"pool: {method} cannot be converted; MAX and AVE can")
    batch, channels, height, width = work.shapes[0]
    if parameters.boolean("global_pooling", False):
        tensor = work.node(f"Global{_OPERATORS[method]}Pool", work.inputs[0])
        work.give(tensor, (batch, channels, 1, 1))
        return
    kernel = pair(work, parameters, "kernel", 1, None)
    stride = pair(work, parameters, "stride", 1, 1)
    pad = pair(work, parameters, "pad", 0, 0)
    # Two forks have two names for it.
    up = parameters.string("round_mode", "CEIL") in ("CEIL", "0")
    up = up and parameters.boolean("ceil_mode", True)
    axes = [_Axis(work, *of, up) for of in zip((height, width), kernel, stride, pad, strict=True)]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": [*pad, *(axis.pad_after for axis in axes)],
    }
    if _OPERATORS[method] == "Max":
        tensor = work.node("MaxPool", work.inputs[0], **attributes)
    else:
        tensor = work.node("AveragePool", work.inputs[0], count_include_pad=1, **attributes)
        tensor = _as_caffe_counts(work, tensor, axes)
    work.give(tensor, (batch, channels, axes[0].windows, axes[1].windows))


class _Axis:
    """One axis of a pooling.

    Attributes:
        windows: how many there are.
        pad_after: padding behind the last element that makes ONNX see as many.
        counted: by how many elements Caffe divides the sum of each window: those of the picture
            and of the padding that was asked for, but not those beyond.
        kernel: length of a window.
    """

    def __init__(
        self, work: Work, length: int, kernel: int, stride: int, pad: int, up: bool
    ) -> None:
        reach = length + 2 * pad - kernel
        if reach < 0 or pad >= kernel:
            raise work.error(f"a window of {kernel} with pad {pad} on {length} elements")
        self.kernel = kernel
        self.windows = (reach + (stride - 1 if up else 0)) // stride + 1
        if pad and (self.windows - 1) * stride >= length + pad:
            self.windows -= 1  # a window must begin inside the picture or the padding before it
        starts = np.arange(self.windows) * stride - pad
        if starts[-1] >= length:
            raise work.error("its last window lies outside of the picture")
        self.pad_after = max(0, int(starts[-1]) + kernel - length)
        self.counted = np.minimum(starts + kernel, length + pad) - starts


def _as_caffe_counts(work: Work, tensor: str, axes: list[_Axis]) -> str:
    """Means that were divided by whole windows, corrected where Caffe divides by less."""
    rows, columns = (axis.kernel / axis.counted for axis in axes)
    if (rows == 1).all() and (columns == 1).all():
        return tensor
    return work.node("Mul", tensor, work.constant(np.outer(rows, columns)[None, None]))

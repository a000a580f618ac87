"""ONNX operators in torch, each a small function of its specification.

Specification: https://github.com/onnx/onnx/blob/main/docs/Operators.md. A function takes a node's
attributes and its inputs: tensors, None where an optional one is absent, and at the places that
`HOST` names a list of numbers, which may be tensors of no axes where they depend on the input. It
gives a tensor, or a list of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as torch's own documentation has it
from torch import Tensor

from engines.errors import ProgramError

Attributes = dict[str, Any]
Operator = Callable[..., Tensor | Sequence[Tensor]]
#: A number that is known, or a tensor of no axes that holds one.
Number = Any

#: Operator → the inputs that are numbers for the function and not tensors for the network.
HOST: dict[str, tuple[int, ...]] = {
    "Clip": (1, 2),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "ReduceL2": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}
_TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}


class UnsupportedError(ProgramError):
    """An operator, or one of its modes, that is not among those here."""


def conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = weight.dim() - 2
    x, padding = _padded(a, x, axes, 0.0)
    convolution = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
    strides, dilations = a.get("strides", [1] * axes), a.get("dilations", [1] * axes)
    result: Tensor = convolution(x, weight, bias, strides, padding, dilations, a.get("group", 1))
    return result


def max_pool(a: Attributes, x: Tensor) -> Tensor:
    size = a["kernel_shape"]
    x, padding = _padded(a, x, len(size), -math.inf)
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(size)]
    ones = [1] * len(size)
    result: Tensor = pool(
        x,
        size,
        a.get("strides", ones),
        padding,
        a.get("dilations", ones),
        bool(a.get("ceil_mode", 0)),
    )
    return result


def average_pool(a: Attributes, x: Tensor) -> Tensor:
    size, padding = a["kernel_shape"], _symmetric(a, len(a["kernel_shape"]))
    if padding is None or any(d != 1 for d in a.get("dilations", [])):
        raise UnsupportedError("AveragePool with uneven padding or dilation")
    pool: Any = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(size)]
    result: Tensor = pool(
        x,
        size,
        a.get("strides", [1] * len(size)),
        padding,
        bool(a.get("ceil_mode", 0)),
        bool(a.get("count_include_pad", 0)),
    )
    return result


def global_average_pool(a: Attributes, x: Tensor) -> Tensor:
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def batch_normalization(
    a: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def resize(
    a: Attributes,
    x: Tensor,
    roi: Any = None,
    scales: Sequence[float] | None = None,
    sizes: Sequence[Number] | None = None,
) -> Tensor:
    """Nearest and linear, where torch's `interpolate` takes the same samples."""
    where = a.get("coordinate_transformation_mode", "half_pixel")
    how = a.get("mode", "nearest")
    rounding = a.get("nearest_mode", "round_prefer_floor")
    whole = bool(scales) and all(float(s).is_integer() for s in scales or ())
    arguments: dict[str, Any] = (
        {"size": list(sizes)[2:]} if sizes else {"scale_factor": list(scales or ())[2:]}
    )
    if how == "nearest" and (
        (where == "asymmetric" and rounding == "floor")
        or (
            whole
            and where in ("asymmetric", "half_pixel", "pytorch_half_pixel")
            and rounding in ("floor", "round_prefer_floor")
        )
    ):
        return F.interpolate(x, mode="nearest", **arguments)
    if how == "linear" and where in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        corners = where == "align_corners"
        mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[x.dim()]
        return F.interpolate(x, mode=mode, align_corners=corners, **arguments)
    raise UnsupportedError(f"Resize with mode {how}, {where}, {rounding}")


def reshape(a: Attributes, x: Tensor, shape: Sequence[Number]) -> Tensor:
    zero_is_zero = a.get("allowzero", 0)
    known = [
        x.shape[axis] if isinstance(n, int) and n == 0 and not zero_is_zero else n
        for axis, n in enumerate(shape)
    ]
    return x.reshape(known)


def expand(a: Attributes, x: Tensor, shape: Sequence[Number]) -> Tensor:
    missing = len(shape) - x.dim()
    own = [1] * missing + list(x.shape) if missing > 0 else list(x.shape)
    wanted = [1] * -missing + list(shape) if missing < 0 else list(shape)
    return x.reshape(own).expand([-1 if isinstance(n, int) and n == 1 else n for n in wanted])


def flatten(a: Attributes, x: Tensor) -> Tensor:
    axis = a.get("axis", 1)
    return x.flatten(axis) if axis == 1 else x.reshape(math.prod(x.shape[:axis]), -1)


def transpose(a: Attributes, x: Tensor) -> Tensor:
    return x.permute(a.get("perm", list(range(x.dim()))[::-1]))


def concat(a: Attributes, *parts: Tensor) -> Tensor:
    return torch.cat(parts, a["axis"])


def split(a: Attributes, x: Tensor, sizes: Sequence[int] | None = None) -> Sequence[Tensor]:
    axis = a.get("axis", 0)
    sizes = sizes or a.get("split")
    length = list(sizes) if sizes else math.ceil(x.shape[axis] / a["outputs"])
    parts: tuple[Tensor, ...] = x.split(length, axis)
    return parts


def slice_(
    a: Attributes,
    x: Tensor,
    starts: Sequence[int] | None = None,
    stops: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Tensor:
    starts, stops = starts or a["starts"], stops or a["ends"]
    axes = axes or a.get("axes") or range(len(starts))
    cut = [slice(None)] * x.dim()
    for axis, start, stop, step in zip(
        axes, starts, stops, steps or [1] * len(starts), strict=True
    ):
        if step < 1:
            raise UnsupportedError(f"Slice with step {step}")
        cut[axis] = slice(start, stop, step)
    return x[tuple(cut)]


def gather(a: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    return x[(slice(None),) * (a.get("axis", 0) % x.dim()) + (indices,)]


def squeeze(a: Attributes, x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    given = axes or a.get("axes")
    return x.squeeze(tuple(given)) if given else x.squeeze()


def unsqueeze(a: Attributes, x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    given = list(axes or a["axes"])
    for axis in sorted(n % (x.dim() + len(given)) for n in given):
        x = x.unsqueeze(axis)
    return x


def pad(
    a: Attributes,
    x: Tensor,
    pads: Sequence[int] | None = None,
    value: Sequence[float] | None = None,
    axes: Sequence[int] | None = None,
) -> Tensor:
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(
        a.get("mode", "constant")
    )
    pads = pads or a["pads"]
    if mode is None or axes:
        raise UnsupportedError(f"Pad with mode {a.get('mode')}, axes {axes}")
    sides = _last_axis_first(pads)
    while mode != "constant" and sides[-2:] == [0, 0]:  # torch pads the last axes only
        del sides[-2:]
    fill = value[0] if value else a.get("value", 0.0)
    return F.pad(x, sides, mode, fill if mode == "constant" else None)


def gemm(a: Attributes, x: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
    x, y = (x.T if a.get("transA", 0) else x), (y.T if a.get("transB", 0) else y)
    if z is None:
        return a.get("alpha", 1.0) * (x @ y)
    return torch.addmm(z, x, y, alpha=a.get("alpha", 1.0), beta=a.get("beta", 1.0))


def softmax(a: Attributes, x: Tensor) -> Tensor:
    axis = a.get("axis", -1 if a["opset"] >= 13 else 1)
    if a["opset"] >= 13:
        return x.softmax(axis)
    # Before opset 13: over all axes from `axis` on, as one.
    return x.flatten(axis).softmax(-1).reshape(x.shape)


def clip(
    a: Attributes,
    x: Tensor,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
) -> Tensor:
    return x.clamp(low[0] if low else a.get("min"), high[0] if high else a.get("max"))


def div(a: Attributes, x: Tensor, y: Tensor) -> Tensor:
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def cast(a: Attributes, x: Tensor) -> Tensor:
    if a["to"] not in _TYPES:
        raise UnsupportedError(f"Cast to type {a['to']}")
    return x.to(_TYPES[a["to"]])


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    def reduce(a: Attributes, x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
        over = list(axes or a.get("axes") or range(x.dim()))
        return function(x, over, bool(a.get("keepdims", 1)))

    return reduce


def _plain(function: Callable[..., Tensor]) -> Operator:
    """A function of tensors that has no attributes."""
    return lambda a, *tensors: function(*tensors)


OPERATORS: dict[str, Operator] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "Div": div,
    "Dropout": lambda a, x, *_: x,
    "Exp": _plain(torch.exp),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "HardSigmoid": lambda a, x: (x * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _plain(F.hardswish),
    "Identity": lambda a, x: x,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Log": _plain(torch.log),
    "MatMul": _plain(torch.matmul),
    "MaxPool": max_pool,
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Pad": pad,
    "Pow": _plain(torch.pow),
    "ReduceL2": _reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": reshape,
    "Resize": resize,
    "Shape": _plain(torch._shape_as_tensor),
    "Sigmoid": _plain(torch.sigmoid),
    "Slice": slice_,
    "Softmax": softmax,
    "Split": split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}


def _padded(a: Attributes, x: Tensor, axes: int, fill: float) -> tuple[Tensor, list[int]]:
    """The input, and the padding torch's operator can do by itself: the same on both sides."""
    padding = _symmetric(a, axes)
    if padding is not None:
        return x, padding
    return F.pad(x, _last_axis_first(a["pads"]), value=fill), [0] * axes


def _symmetric(a: Attributes, axes: int) -> list[int] | None:
    """The padding of each axis where it is the same on both sides, else None."""
    if a.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"auto_pad {a['auto_pad']}")
    pads = a.get("pads", [0] * 2 * axes)
    return list(pads[:axes]) if list(pads[:axes]) == list(pads[axes:]) else None


def _last_axis_first(pads: Sequence[int]) -> list[int]:
    """ONNX's begins, then ends, of each axis; torch's begin and end of the last axis, then on."""
    axes = len(pads) // 2
    return [n for axis in reversed(range(axes)) for n in (pads[axis], pads[axes + axis])]

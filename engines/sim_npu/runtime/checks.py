"""What a layer must be for the device to run it: its attributes, constants and shapes.

An artefact may come from anybody. After this check no layer fails, and none takes more memory or
time than its tensors, which are limited, let it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.artefact import MAX_ELEMENTS, Layer, Tensor
from engines.sim_npu.operators import MAX_SHIFT, OPERATORS, ROUNDINGS

Shape = tuple[int, ...]

#: Multiply-adds of one layer; thirty times what a whole large detector takes.
_MAX_MACS = 2**38
#: float32 holds any sum times this.
_MAX_RATIO = 2.0**64


def check(layer: Layer, tensors: Mapping[str, Tensor], rounding: str) -> None:
    """Raises `ProgramError` where the layer is not what its operator's row says; names it."""
    try:
        _check_names(layer, rounding)
        inputs, output = [tensors[name] for name in layer.inputs], tensors[layer.output]
        made = _MADE[layer.operator](layer, *(tensor.shape for tensor in inputs))
        if made != output.shape:
            raise ValueError(f"makes {made}, expected {output.shape}")
        _check_rescaling(layer, rounding)
        if rounding == "float" and layer.operator in ("add", "mul"):
            _check_scales([tensor.scale for tensor in inputs], output.scale)
    except ValueError as error:
        raise ProgramError(f"layer {layer.name!r}: {error}") from None


def _check_names(layer: Layer, rounding: str) -> None:
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding {rounding!r}; there are {', '.join(ROUNDINGS)}")
    row = OPERATORS.get(layer.operator)
    if row is None:
        raise ValueError(
            f"the device has no operator {layer.operator!r}; it has {', '.join(OPERATORS)}"
        )
    if row.inputs and len(layer.inputs) != row.inputs:
        raise ValueError(f"{layer.operator} takes {row.inputs} inputs, not {len(layer.inputs)}")
    wanted = {*row.constants, *row.rescaling(rounding)}
    if missing := sorted(wanted - layer.constants.keys()):
        raise ValueError(f"{layer.operator} needs {', '.join(missing)}")
    if missing := sorted({name for name, _ in row.attributes} - layer.attributes.keys()):
        raise ValueError(f"{layer.operator} needs {', '.join(missing)}")


def _check_rescaling(layer: Layer, rounding: str) -> None:
    """One factor a channel, two of a sum, else one; in the range where rescaling is exact."""
    names = OPERATORS[layer.operator].rescaling(rounding)
    count = {"add": 2, "mul": 1, "average_pool": 1}.get(layer.operator)
    if count is None and names:
        count = len(layer.constants["weights"])
    for name in names:
        dtype, low, high = _RESCALING[name]
        shape = (1,) if (name, layer.operator) == ("shift", "add") else (count,)
        found = _constant(layer, name, dtype, shape)
        if not ((low <= found) & (found <= high)).all():
            raise ValueError(f"{layer.operator} has a {name} that is not in {low} … {high}")


#: Type and range of what may stand for a ratio.
_RESCALING: dict[str, tuple[str, float, float]] = {
    "multiplier": ("int32", 1, 2**31 - 1),
    "shift": ("uint8", 0, MAX_SHIFT),
    "ratio": ("float32", 0, _MAX_RATIO),
}


def _check_scales(inputs: list[float], output: float) -> None:
    """What such a layer makes of its largest numbers must be in float32's range."""
    largest = 2 * prod(max(255 * scale, 1.0) for scale in inputs) / min(output, 1.0)
    if largest > np.finfo(np.float32).max:
        raise ValueError(f"scales {inputs} and {output} are beyond float32")


def _constant(layer: Layer, name: str, dtype: str, shape: Sequence[int | None]) -> NDArray[Any]:
    """A constant of this type and shape; None stands for any length."""
    found = layer.constants[name]
    fits = len(found.shape) == len(shape) and all(
        wanted in (None, length) for length, wanted in zip(found.shape, shape, strict=True)
    )
    if found.dtype != dtype or not fits or not found.size:
        wanted = ", ".join("?" if length is None else str(length) for length in shape)
        raise ValueError(
            f"{layer.operator} has {name} {found.dtype}{list(found.shape)}, expected "
            f"{dtype}[{wanted}]"
        )
    return found


def _whole(layer: Layer, name: str, count: int | None, low: int) -> list[int]:
    """An attribute of so many integers; None stands for any number of them."""
    found = layer.attributes[name]
    if (
        not isinstance(found, Sequence)
        or count not in (None, len(found))
        or min(found, default=low) < low
    ):
        raise ValueError(f"{name} are {found}, expected {count or 'any'} integers ≥ {low}")
    return list(found)


def _picture(shape: Shape) -> Shape:
    if len(shape) != 4:
        raise ValueError(f"takes four axes, not {shape}")
    return shape


def _windows(layer: Layer, x: Shape, kernel: list[int], dilations: list[int]) -> Shape:
    """Rows and columns of the windows that fit into the padded picture."""
    strides, pads = _whole(layer, "strides", 2, 1), _whole(layer, "pads", 4, 0)
    rooms = [x[2] + pads[0] + pads[2], x[3] + pads[1] + pads[3]]
    spans = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilations, strict=True)]
    if min(kernel) < 1 or any(span > room for span, room in zip(spans, rooms, strict=True)):
        raise ValueError(f"a window of {spans} does not fit a padded picture of {rooms}")
    if prod(x[:2]) * prod(rooms) > MAX_ELEMENTS:
        raise ValueError(f"a padded picture of {rooms} is too large")
    axes = zip(rooms, spans, strides, strict=True)
    return tuple((room - span) // stride + 1 for room, span, stride in axes)


def _conv(layer: Layer, x: Shape) -> Shape:
    n, channels, *_ = _picture(x)
    out, depth, *kernel = _constant(layer, "weights", "int8", [None] * 4).shape
    groups = layer.attributes["groups"]
    if type(groups) is not int or groups < 1 or channels != groups * depth or out % groups:
        raise ValueError(
            f"{out} x {depth} channels of weights in groups of {groups} do not fit {channels}"
        )
    _constant(layer, "bias", "int32", [out])
    made = (n, out, *_windows(layer, x, kernel, _whole(layer, "dilations", 2, 1)))
    return _limited(made, depth * prod(kernel))


def _gemm(layer: Layer, x: Shape) -> Shape:
    weights = _constant(layer, "weights", "int8", [None, None])
    if x[1:] != weights.shape[1:]:
        raise ValueError(f"weights {weights.shape} do not fit {x}")
    _constant(layer, "bias", "int32", [len(weights)])
    return _limited((x[0], len(weights)), x[1])


def _pool(layer: Layer, x: Shape) -> Shape:
    kernel = _whole(layer, "kernel", 2, 1)
    return _limited((*_picture(x)[:2], *_windows(layer, x, kernel, [1, 1])), prod(kernel))


def _limited(made: Shape, taps: int) -> Shape:
    if prod(made) * taps > _MAX_MACS:
        raise ValueError(f"takes {prod(made) * taps} multiply-adds, expected at most {_MAX_MACS}")
    return made


def _pair(_: Layer, a: Shape, b: Shape) -> Shape:
    if len(a) != len(b) or any(1 not in (p, q) and p != q for p, q in zip(a, b, strict=True)):
        raise ValueError(f"{a} and {b} do not go together")
    return tuple(map(max, a, b))


def _lookup(layer: Layer, x: Shape) -> Shape:
    tables = [x[1]] if layer.constants["table"].ndim > 1 and len(x) > 1 else []
    _constant(layer, "table", "int8", [*tables, 256])
    return x


def _concat(layer: Layer, *parts: Shape) -> Shape:
    _constant(layer, "tables", "int8", [len(parts), 256])
    axis, first = layer.attributes["axis"], parts[0]
    if type(axis) is not int or not 0 <= axis < len(first):
        raise ValueError(f"axis {axis} is none of {len(first)}")
    if len({(len(part), *part[:axis], *part[axis + 1 :]) for part in parts}) > 1:
        raise ValueError(f"{parts} cannot be joined on axis {axis}")
    return (*first[:axis], sum(part[axis] for part in parts), *first[axis + 1 :])


def _resize_nearest(layer: Layer, x: Shape) -> Shape:
    n, channels, height, width = _picture(x)
    down, across = _whole(layer, "factors", 2, 1)
    return n, channels, height * down, width * across


def _transpose(layer: Layer, x: Shape) -> Shape:
    axes = _whole(layer, "axes", len(x), 0)
    if sorted(axes) != list(range(len(x))):
        raise ValueError(f"axes {axes} are no order of {len(x)} axes")
    return tuple(x[axis] for axis in axes)


def _reshape(layer: Layer, x: Shape) -> Shape:
    shape = tuple(_whole(layer, "shape", None, 1))
    if prod(shape) != prod(x):
        raise ValueError(f"{x} cannot become {shape}")
    return shape


def _slice(layer: Layer, x: Shape) -> Shape:
    starts, stops = (_whole(layer, name, len(x), 0) for name in ("starts", "stops"))
    steps = _whole(layer, "steps", len(x), 1)
    if any(not a < b <= length for a, b, length in zip(starts, stops, x, strict=True)):
        raise ValueError(f"{starts} … {stops} is not in {x}")
    return tuple(map(len, map(range, starts, stops, steps)))


_MADE: dict[str, Callable[..., Shape]] = {
    "conv": _conv,
    "gemm": _gemm,
    "add": _pair,
    "mul": _pair,
    "average_pool": _pool,
    "max_pool": _pool,
    "lookup": _lookup,
    "concat": _concat,
    "resize_nearest": _resize_nearest,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
}

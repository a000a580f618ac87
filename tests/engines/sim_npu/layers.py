"""Random layers of every operator, for hypothesis."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.operators import MAX_SHIFT
from engines.sim_npu.runtime.arithmetic import step


class Case(NamedTuple):
    """A layer, its tensors, and what goes in."""

    layer: Layer
    tensors: dict[str, Tensor]
    inputs: list[NDArray[np.int8]]


def run(case: Case, rounding: str) -> NDArray[np.int8]:
    """What the runtime makes of a case."""
    layer = step(case.layer, case.tensors, rounding)
    inputs = [(one.astype(np.int16) + 128).astype(np.uint8) for one in case.inputs]
    return (layer(*inputs).astype(np.int16) - 128).astype(np.int8)


def small(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...]) -> Tensor:
    scale = draw(st.floats(2.0**-10, 2.0, width=32))
    return Tensor(shape, scale, draw(st.sampled_from([0, -128, 127, 3, -17, 100])))


def numbers(rng: np.random.Generator, shape: Any) -> NDArray[np.int8]:
    """Whole range, the ends often."""
    values = rng.integers(-128, 128, shape)
    ends = rng.random(values.shape)
    values = np.where(ends < 0.1, -128, np.where(ends > 0.9, 127, values))
    return values.astype(np.int8)


def rescaling(rng: np.random.Generator, count: int, size: float) -> dict[str, NDArray[Any]]:
    """Multipliers that bring sums of this size to about the range of int8, some far off."""
    ratios = 100 / size * 2.0 ** rng.integers(-4, 4, count)
    shifts = np.clip(30 - np.floor(np.log2(ratios)), 0, MAX_SHIFT).astype(np.uint8)
    multipliers = np.clip(np.round(ratios * 2.0**shifts), 1, 2**31 - 1)
    # Short multipliers hit the ties of rounding again and again.
    short = rng.random(count) < 0.4
    shifts = np.where(short, np.maximum(1, np.ceil(-np.log2(ratios))), shifts).astype(np.uint8)
    multipliers = np.where(short, 1, multipliers).astype(np.int32)
    return {"multiplier": multipliers, "shift": shifts, "ratio": ratios.astype(np.float32)}


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    groups = draw(small(1, 3))
    inside, outside = draw(small(1, 4)), draw(small(1, 3))
    if draw(st.booleans()):
        groups, inside = inside * groups, 1  # depthwise, with a multiplier
    kernel, strides = (draw(small(1, 3)), draw(small(1, 4))), [draw(small(1, 3)) for _ in "yx"]
    dilations, pads = [draw(small(1, 2)) for _ in "yx"], [draw(small(0, 2)) for _ in "tlbr"]
    height = (kernel[0] - 1) * dilations[0] + 1 + draw(small(0, 5))
    width = (kernel[1] - 1) * dilations[1] + 1 + draw(small(0, 5))
    rng = np.random.default_rng(draw(small(0, 2**32)))
    weights = numbers(rng, (groups * outside, inside, *kernel))
    if draw(st.booleans()):
        weights //= 16
    shape = (draw(small(1, 2)), groups * inside, height, width)
    bias = rng.integers(-5000, 5000, len(weights)).astype(np.int32)
    if draw(small(0, 9)) == 0:
        bias *= 2**17  # past what float32 holds
    spans = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    lengths = [
        (length + before + after - span - 1) // stride + 1
        for length, before, after, span, stride in zip(
            (height, width), pads[:2], pads[2:], spans, strides, strict=True
        )
    ]
    layer = Layer(
        "layer",
        "conv",
        ("x",),
        "y",
        {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups},
        {"weights": weights, "bias": bias}
        | rescaling(rng, len(weights), 60.0 * abs(weights.astype(int)).mean() * inside + 50.0),
    )
    tensor = {"x": draw(tensors(shape)), "y": draw(tensors((shape[0], len(weights), *lengths)))}
    return Case(layer, tensor, [numbers(rng, shape)])


@st.composite
def products(draw: st.DrawFn) -> Case:
    rows, depth, columns = draw(small(1, 3)), draw(small(1, 40)), draw(small(1, 6))
    rng = np.random.default_rng(draw(small(0, 2**32)))
    constants = {
        "weights": numbers(rng, (columns, depth)),
        "bias": rng.integers(-5000, 5000, columns).astype(np.int32),
    }
    layer = Layer(
        "layer", "gemm", ("x",), "y", {}, constants | rescaling(rng, columns, 4000.0 * depth**0.5)
    )
    tensor = {"x": draw(tensors((rows, depth))), "y": draw(tensors((rows, columns)))}
    return Case(layer, tensor, [numbers(rng, (rows, depth))])


@st.composite
def pairs(draw: st.DrawFn) -> Case:
    operator = draw(st.sampled_from(["add", "mul"]))
    shape = (draw(small(1, 2)), draw(small(1, 3)), draw(small(1, 5)), draw(small(1, 5)))
    second = (*shape[:2], 1, 1) if draw(st.booleans()) else shape
    rng = np.random.default_rng(draw(small(0, 2**32)))
    constants = rescaling(rng, 2, 100.0 if operator == "add" else 8000.0)
    if operator == "mul":
        constants = {name: array[:1] for name, array in constants.items()}
    constants["shift"] = constants["shift"][:1]
    layer = Layer("layer", operator, ("a", "b"), "y", {}, constants)
    tensor = {
        "a": draw(tensors(shape)),
        "b": draw(tensors(second)),
        "y": draw(tensors(shape)),
    }
    return Case(layer, tensor, [numbers(rng, shape), numbers(rng, second)])


@st.composite
def pools(draw: st.DrawFn, operators: tuple[str, ...] = ("average_pool", "max_pool")) -> Case:
    operator = draw(st.sampled_from(operators))
    kernel, strides = [draw(small(1, 5)) for _ in "yx"], [draw(small(1, 3)) for _ in "yx"]
    pads = [draw(small(0, kernel[axis] - 1)) for axis in (0, 1, 0, 1)]
    shape = (draw(small(1, 2)), draw(small(1, 3)), *(k + draw(small(0, 6)) for k in kernel))
    lengths = [
        (length + before + after - size) // stride + 1
        for length, before, after, size, stride in zip(
            shape[2:], pads[:2], pads[2:], kernel, strides, strict=True
        )
    ]
    rng = np.random.default_rng(draw(small(0, 2**32)))
    constants = rescaling(rng, 1, 60.0 * kernel[0] * kernel[1])
    layer = Layer(
        "layer",
        operator,
        ("x",),
        "y",
        {"kernel": kernel, "strides": strides, "pads": pads},
        constants if operator == "average_pool" else {},
    )
    tensor = {"x": draw(tensors(shape)), "y": draw(tensors((*shape[:2], *lengths)))}
    return Case(layer, tensor, [numbers(rng, shape)])


MOVES = ("lookup", "lookup_channels", "concat", "resize_nearest", "transpose", "reshape", "slice")


@st.composite
def moves(draw: st.DrawFn, operators: tuple[str, ...] = MOVES) -> Case:
    """Operators that look up, join or only move."""
    shape = (1, draw(small(1, 4)), draw(small(1, 5)), draw(small(1, 5)))
    rng = np.random.default_rng(draw(small(0, 2**32)))
    x, y = numbers(rng, shape), numbers(rng, shape)
    table = numbers(rng, (2, 256))
    starts = [draw(small(0, length - 1)) for length in shape]
    steps = [draw(small(1, 2)) for _ in shape]
    cut = {"starts": starts, "stops": list(shape), "steps": steps}
    taken = tuple(len(range(a, b, c)) for a, b, c in zip(starts, shape, steps, strict=True))
    axes, axis = draw(st.permutations(range(4))), draw(small(0, 3))
    joined = tuple(length * 2 if n == axis else length for n, length in enumerate(shape))
    turned = tuple(shape[a] for a in axes)
    down, across = draw(small(1, 3)), draw(small(1, 3))
    larger = (*shape[:2], shape[2] * down, shape[3] * across)
    operator = draw(st.sampled_from(operators))
    possible: dict[str, Any] = {
        "lookup": ({}, {"table": table[0]}, shape, [x]),
        "lookup_channels": ({}, {"table": numbers(rng, (shape[1], 256))}, shape, [x]),
        "concat": ({"axis": axis}, {"tables": table}, joined, [x, y]),
        "resize_nearest": ({"factors": [down, across]}, {}, larger, [x]),
        "transpose": ({"axes": list(axes)}, {}, turned, [x]),
        "reshape": ({"shape": [1, x.size]}, {}, (1, x.size), [x]),
        "slice": (cut, {}, taken, [x]),
    }
    attributes, constants, result, inputs = possible[operator]
    operator = operator.removesuffix("_channels")
    names = ("x", "z")[: len(inputs)]
    tensor = {name: Tensor(shape, 0.1, 0) for name in names} | {"y": Tensor(result, 0.1, 0)}
    return Case(Layer("layer", operator, names, "y", attributes, constants), tensor, inputs)


layers = st.one_of(convolutions(), products(), pairs(), pools(), moves())


SHAPE = (1, 4, 5, 6)
WINDOW = {"strides": [1, 1], "pads": [1, 1, 1, 1]}


def layer_of(
    operator: str, inputs: tuple[str, ...], output: str, rng: np.random.Generator
) -> Layer:
    """One that keeps `SHAPE`, of random numbers."""
    attributes: dict[str, Any] = {}
    constants: dict[str, NDArray[Any]] = {}
    if operator in ("conv", "depthwise"):
        groups = 1 if operator == "conv" else SHAPE[1]
        attributes = WINDOW | {"dilations": [1, 1], "groups": groups}
        constants = {
            "weights": numbers(rng, (SHAPE[1], SHAPE[1] // groups, 3, 3)),
            "bias": rng.integers(-5000, 5000, SHAPE[1]).astype(np.int32),
        } | rescaling(rng, SHAPE[1], 9000.0 * (36 / groups) ** 0.5)
    elif operator == "lookup":
        constants = {"table": numbers(rng, 256)}
    elif operator in ("add", "mul"):
        constants = rescaling(rng, 2, 100.0) if operator == "add" else rescaling(rng, 1, 8000.0)
        constants["shift"] = constants["shift"][:1]
    elif operator in ("max_pool", "average_pool"):
        attributes = WINDOW | {"kernel": [3, 3]}
        constants = {} if operator == "max_pool" else rescaling(rng, 1, 500.0)
    kind = "conv" if operator == "depthwise" else operator
    return Layer(output, kind, inputs, output, attributes, constants)


@st.composite
def networks(draw: st.DrawFn) -> tuple[dict[str, Tensor], list[Layer], NDArray[np.int8]]:
    """Tensors, two to eight layers whose inputs are any earlier tensors, and the input ``t0``."""
    kinds = ("conv", "depthwise", "lookup", "add", "mul", "max_pool", "average_pool")
    rng = np.random.default_rng(draw(small(0, 2**32)))
    tensor, made = {"t0": draw(tensors(SHAPE))}, []
    for number in range(1, draw(small(2, 8)) + 1):
        operator = draw(st.sampled_from(kinds))
        count = 2 if operator in ("add", "mul") else 1
        inputs = tuple(draw(st.sampled_from(sorted(tensor))) for _ in range(count))
        tensor[f"t{number}"] = draw(tensors(SHAPE))
        made.append(layer_of(operator, inputs, f"t{number}", rng))
    return tensor, made, numbers(rng, SHAPE)

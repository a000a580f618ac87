"""ONNX nodes as layers of the device.

Specification: https://github.com/onnx/onnx/blob/main/docs/Operators.md, and
`engines.sim_npu.operators` for the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.convert.graph import Constants
from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.compiler import grid
from engines.sim_npu.compiler.equalise import FUNCTIONS
from engines.sim_npu.compiler.passes.affine import affine, per_channel
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.operators import MAX_SUM

#: Of an output's step: what a bias may lose for its sum to fit, where a dead channel has a tiny
#: scale and so a bias of nearly 32 bits.
_UNSEEN = 1 / 256


class Unsupported(Exception):  # noqa: N818 - says what is, as StopIteration
    """The device cannot run a node; the message says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """A graph on its way to the device.

    Attributes:
        model: an `onnx.ModelProto` in float32.
        known: its constants.
        shapes: of its tensors.
        tensors: grids, by tensor; layers that move data add what they make.
        rounding: one of `operators.ROUNDINGS`.
        per_channel: whether weights have a scale for each output channel, or one.
        given_scales: of weights whose integers were given, by name of the weight.
        weight_scales: float32 of each output channel, by the layer's output; filled while lowering.
    """

    model: Any
    known: Constants
    shapes: dict[str, tuple[int, ...]]
    tensors: dict[str, Tensor]
    rounding: str
    per_channel: bool
    given_scales: dict[str, NDArray[Any]]
    weight_scales: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One node on its way to the device.

    Attributes:
        network: that it is part of.
        node: as ONNX has it.
        given: its attributes.
        output: tensor its result goes to: its own output, or that of the rectifier after it.
    """

    network: Network
    node: Any
    given: dict[str, Any]
    output: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first input."""
        return self.network.shapes[self.node.input[0]]

    @property
    def made(self) -> Tensor:
        """Grid of the output."""
        return self.tensor(self.output)

    def tensor(self, name: str) -> Tensor:
        """Grid of a tensor."""
        if name not in self.network.tensors:
            raise Unsupported(f"nothing says the range of {name}")
        return self.network.tensors[name]

    def constant(self, index: int) -> NDArray[Any] | None:
        """An input that must be constant; None where it is left out."""
        if index >= len(self.node.input) or not self.node.input[index]:
            return None
        if self.node.input[index] not in self.network.known:
            raise Unsupported(f"input {index} is computed at run time")
        return self.network.known[self.node.input[index]]

    def layer(
        self,
        operator: str,
        inputs: tuple[str, ...],
        attributes: dict[str, Any] | None = None,
        constants: dict[str, NDArray[Any]] | None = None,
    ) -> Layer:
        """A layer that makes the output."""
        name = self.node.name or self.node.output[0]
        return Layer(name, operator, inputs, self.output, attributes or {}, constants or {})

    def move(self, operator: str, **attributes: Any) -> list[Layer]:
        """A layer that leaves values as they are: the output shares the input's grid."""
        source = self.node.input[0]
        shape = self.network.shapes[self.output]
        self.network.tensors[self.output] = replace(self.tensor(source), shape=shape)
        return [self.layer(operator, (source,), attributes)]


def lower(network: Network, node: Any, output: str = "") -> list[Layer]:
    """The layers of one node.

    Args:
        network: that it is part of.
        node: as ONNX has it.
        output: tensor the result goes to, where it is not the node's own.

    Raises:
        Unsupported: the device cannot run it.
    """
    step = Step(network, node, onnx_graph.attributes(node), output or node.output[0])
    if any(-1 in network.shapes.get(name, (-1,)) for name in node.output):
        raise Unsupported("its shape is known at run time only")
    if node.op_type not in LOWERED:
        raise Unsupported("the device has no such operator")
    try:
        return LOWERED[node.op_type](step)
    except ProgramError as error:
        raise Unsupported(str(error)) from None


def _conv(s: Step) -> list[Layer]:
    weight, bias = s.constant(1), s.constant(2)
    if weight is None or weight.ndim != 4 or s.given.get("auto_pad", "NOTSET") != "NOTSET":
        raise Unsupported("expected weights of four axes and explicit pads")
    attributes = {
        "strides": list(s.given.get("strides", [1, 1])),
        "pads": list(s.given.get("pads", [0, 0, 0, 0])),
        "dilations": list(s.given.get("dilations", [1, 1])),
        "groups": s.given.get("group", 1),
    }
    return [_weighted(s, "conv", s.node.input[0], weight, bias, attributes)]


def _gemm(s: Step) -> list[Layer]:
    weight, bias = s.constant(1), s.constant(2)
    if weight is None or s.given.get("transA"):
        raise Unsupported("expected constant weights and rows as they are")
    weight = (weight if s.given.get("transB") else weight.T) * s.given.get("alpha", 1.0)
    if bias is not None:
        bias = np.broadcast_to(bias * s.given.get("beta", 1.0), (1, len(weight)))[0]
    return [_weighted(s, "gemm", s.node.input[0], weight, bias, {})]


def _weighted(
    s: Step,
    operator: str,
    source: str,
    weight: NDArray[Any],
    bias: NDArray[Any] | None,
    attributes: dict[str, Any],
) -> Layer:
    """A layer with weights (output channels first), on the grid given for them or the best one."""
    x, y = s.tensor(source), s.made
    bias = np.zeros(len(weight)) if bias is None else bias
    scales = s.network.given_scales.get(s.node.input[1])
    # Integers that were given may use -128; ours do not, so that their grid is symmetric.
    lowest = -grid.LARGEST_WEIGHT if scales is None else grid.LOWEST
    if scales is None:
        scales = grid.weight_scales(weight, bias, x.scale, s.network.per_channel)
    across = np.broadcast_to(scales, len(weight)).reshape(-1, *[1] * (weight.ndim - 1))
    stored = np.clip(np.rint(weight / across), lowest, grid.HIGHEST).astype(np.int8)
    steps = np.float32(x.scale) * across.ravel()
    sums = np.rint(bias / steps.astype(np.float64))
    ratios = steps / np.float32(y.scale)
    over = np.maximum(grid.largest_sums(stored, sums, x.zero_point) - (MAX_SUM - 1), 0)
    if (over > np.minimum(np.abs(sums), _UNSEEN / ratios)).any():
        most = over.max() + MAX_SUM
        raise Unsupported(f"its sums may reach {most:.3g}, more than 32 bits hold")
    sums -= np.sign(sums) * over
    s.network.weight_scales[s.output] = across
    constants = {"weights": stored, "bias": sums.astype(np.int32)}
    constants |= grid.rescaling(ratios, s.network.rounding)
    return s.layer(operator, (source,), attributes, constants)


def _binary(s: Step) -> list[Layer]:
    """``Add`` and ``Mul`` of two tensors, or of a tensor and constants."""
    known = s.network.known
    tensors = [name for name in s.node.input if name not in known]
    if len(tensors) == 1:
        return _with_constant(s, tensors[0])
    operator = s.node.op_type.lower()
    if operator not in ("add", "mul"):
        raise Unsupported("the device does this with a constant only")
    a, b = (s.tensor(name) for name in tensors)
    scales, made = np.array([a.scale, b.scale], np.float32), np.float32(s.made.scale)
    if s.network.rounding == "float":  # the device then takes the scales of the tensors
        return [s.layer(operator, tuple(tensors))]
    ratios = scales / made if operator == "add" else scales.prod(keepdims=True) / made
    return [s.layer(operator, tuple(tensors), {}, grid.shared_rescaling(ratios))]


def _with_constant(s: Step, source: str) -> list[Layer]:
    """One number is a table; one number a channel is a convolution of a single weight each."""
    (constant,) = (s.network.known[name] for name in s.node.input if name != source)
    if constant.size == 1:
        return _lookup(s)
    shape = s.network.shapes[source]
    found = affine(s.node, source, s.network.known, shape[1], image=True) if shape[3:] else None
    if found is None:
        raise Unsupported(f"a constant {constant.shape} is neither one number nor one a channel")
    scale, shift = found
    attributes = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "groups": len(scale)}
    return [_weighted(s, "conv", source, scale.reshape(-1, 1, 1, 1), shift, attributes)]


def _lookup(s: Step) -> list[Layer]:
    """A function of one tensor, tabulated by running the node itself on all 256 values.

    Constants of one number make one table, constants of one number a channel as many tables.
    """
    from onnx import TensorProto, helper, numpy_helper

    model, known = s.network.model, s.network.known
    (source,) = (name for name in s.node.input if name and name not in known)
    shape, arrays = s.network.shapes[source], [known[n] for n in s.node.input if n in known]
    channels = 1 if all(array.size == 1 for array in arrays) else shape[1]
    if any(per_channel(array, channels, image=shape[3:] != ()) is None for array in arrays):
        raise Unsupported("its constants are neither one number nor one a channel")
    values = grid.levels(s.tensor(source)).astype(np.float32)
    if channels > 1:
        values = np.tile(values, (channels, 1))[None, :, :, None]
    value_infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in (source, s.node.output[0])
    ]
    constants = [
        numpy_helper.from_array(known[name].reshape(()) if channels == 1 else known[name], name)
        for name in s.node.input
        if name in known
    ]
    graph = helper.make_graph([s.node], "function", value_infos[:1], value_infos[1:], constants)
    single = helper.make_model(graph, functions=model.functions, ir_version=model.ir_version)
    del single.opset_import[:]
    single.opset_import.extend(model.opset_import)
    (results,) = Reference(single).run({source: values}).values()
    table = grid.quantise(np.nan_to_num(results), s.made).reshape(-1, 256)
    table = table[0] if len(table) == 1 else table
    return [s.layer("lookup", (source,), {}, {"table": table})]


def _max_pool(s: Step) -> list[Layer]:
    if set(s.given.get("dilations", [1])) != {1} or len(s.node.output) > 1:
        raise Unsupported("dilated windows, or indices as an output")
    return s.move("max_pool", **_window(s))


def _average_pool(s: Step) -> list[Layer]:
    window = _window(s)
    if any(window["pads"]) and not s.given.get("count_include_pad"):
        raise Unsupported("padding that does not count")
    return _mean(s, window)


def _global_average_pool(s: Step) -> list[Layer]:
    return _mean(s, {"kernel": list(s.shape[2:]), "strides": [1, 1], "pads": [0] * 4})


def _mean(s: Step, window: dict[str, Any]) -> list[Layer]:
    source = s.node.input[0]
    made, count = np.float32(s.made.scale), np.float32(np.prod(window["kernel"]))
    ratio = np.float32(s.tensor(source).scale) / (made * count)
    constants = grid.rescaling(np.array([ratio]), s.network.rounding)
    return [s.layer("average_pool", (source,), window, constants)]


def _window(s: Step) -> dict[str, Any]:
    """Kernel, strides and pads; what rounding the shape up takes is padding at the end."""
    if s.given.get("auto_pad", "NOTSET") != "NOTSET":
        raise Unsupported("expected explicit pads")
    kernel = list(s.given["kernel_shape"])
    strides, pads = list(s.given.get("strides", [1, 1])), list(s.given.get("pads", [0] * 4))
    if len(kernel) != 2:
        raise Unsupported("expected windows of two axes")
    for axis in (0, 1):
        needed = (s.network.shapes[s.node.output[0]][2 + axis] - 1) * strides[axis] + kernel[axis]
        pads[2 + axis] = max(pads[2 + axis], needed - s.shape[2 + axis] - pads[axis])
    return {"kernel": kernel, "strides": strides, "pads": pads}


def _concat(s: Step) -> list[Layer]:
    if any(name in s.network.known for name in s.node.input):
        raise Unsupported("one of the parts is a constant")
    parts = [s.tensor(name) for name in s.node.input]
    tables = np.stack([grid.quantise(grid.levels(part), s.made) for part in parts])
    axis = s.given["axis"] % len(s.shape)
    return [s.layer("concat", tuple(s.node.input), {"axis": axis}, {"tables": tables})]


def _resize(s: Step) -> list[Layer]:
    how = s.given.get("coordinate_transformation_mode", "half_pixel")
    rounding = s.given.get("nearest_mode", "round_prefer_floor")
    kept = (how, rounding) == ("asymmetric", "floor") or how == "half_pixel"
    if s.given.get("mode", "nearest") != "nearest" or not kept or len(s.shape) != 4:
        raise Unsupported("it interpolates; the device repeats the nearest element only")
    after = s.network.shapes[s.output]
    factors = [b // a for a, b in zip(s.shape, after, strict=True)]
    if any(a * f != b for a, f, b in zip(s.shape, factors, after, strict=True)):
        raise Unsupported("its factors are no whole numbers")
    if factors[:2] != [1, 1] or 0 in factors:
        raise Unsupported("it resizes more than rows and columns")
    return s.move("resize_nearest", factors=factors[2:])


def _transpose(s: Step) -> list[Layer]:
    return s.move("transpose", axes=list(s.given.get("perm", range(len(s.shape))[::-1])))


def _reshape(s: Step) -> list[Layer]:
    return s.move("reshape", shape=list(s.network.shapes[s.output]))


def _slice(s: Step) -> list[Layer]:
    cuts = onnx_graph.slices(s.node, s.network.known)
    if cuts is None or any(cut.step < 1 for cut in cuts):
        raise Unsupported("it goes backwards, or where is known at run time only")
    starts, stops, steps = [0] * len(s.shape), list(s.shape), [1] * len(s.shape)
    for cut in cuts:
        starts[cut.axis], stops[cut.axis], steps[cut.axis] = (
            *slice(cut.start, cut.stop).indices(s.shape[cut.axis])[:2],
            cut.step,
        )
    return s.move("slice", starts=starts, stops=stops, steps=steps)


def _split(s: Step) -> list[Layer]:
    axis, start, layers = s.given.get("axis", 0) % len(s.shape), 0, list[Layer]()
    for name in s.node.output:
        starts, stops = [0] * len(s.shape), list(s.shape)
        starts[axis], stops[axis] = start, start + s.network.shapes[name][axis]
        part = replace(s, output=name)
        layers += part.move("slice", starts=starts, stops=stops, steps=[1] * len(s.shape))
        start = stops[axis]
    return layers


Lowering = Callable[[Step], list[Layer]]

#: By ONNX's name.
LOWERED: dict[str, Lowering] = {
    "Conv": _conv,
    "Gemm": _gemm,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _binary),
    **dict.fromkeys(("Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Softplus", "Tanh"), _lookup),
    **dict.fromkeys(FUNCTIONS.values(), _lookup),
    **dict.fromkeys(("Sigmoid", "HardSigmoid", "Silu", "HardSwish", "Neg", "Abs"), _lookup),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "Concat": _concat,
    "Resize": _resize,
    "Transpose": _transpose,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    "Slice": _slice,
    "Split": _split,
}

"""How channels pass through each operator of ONNX: https://onnx.ai/onnx/operators/.

A follower is called for a node that reads channels, or makes them. It gives the node's outputs
theirs, ties what can only go together, and says what to cut from its weights; or raises
`NotFollowedError`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from engines.compress.flow import Channels, Flow, Ids, Keep, Made, NotFollowedError
from engines.compress.layers import WEIGHTED, Layer, layer_of
from engines.convert import graph as onnx_graph

Follower = Callable[[Flow, Any], None]

#: First opset in which ``Split`` is told its lengths as an input.
_SPLIT_INPUT = 13
#: First opset in which ``Slice`` is told its bounds as inputs.
_SLICE_INPUTS = 10


def follow(model: Any, fixed: Any) -> Flow:
    """Follows the channels through a whole network; see `Flow` for the arguments."""
    flow = Flow(model, fixed)
    for node in model.graph.node:
        follower = FOLLOWERS.get(node.op_type)
        try:
            if follower is None:
                raise NotFollowedError("is not understood")
            if node.op_type in WEIGHTED or any(name in flow.channels for name in node.input):
                follower(flow, node)
        except NotFollowedError as error:
            flow.refuse(node, str(error))
    flow.fix_outputs()
    return flow


def _layer(flow: Flow, node: Any) -> Layer:
    layer = layer_of(node, flow.known)
    if layer is None:
        raise NotFollowedError("has no constant weights")
    return layer


def _conv(flow: Flow, node: Any) -> None:
    layer, source = _layer(flow, node), flow.channels.get(node.input[0])
    if source is not None and source.axis != 1:
        raise NotFollowedError("reads channels that lie on another axis")
    if layer.groups == 1:
        _make(flow, layer, source, 1)
    elif layer.weight.shape[1] > 1:
        raise NotFollowedError(f"has {layer.groups} groups")
    elif source is None:
        raise NotFollowedError("reads channels that cannot change")
    else:
        ids = np.repeat(source.ids, len(layer.weight) // layer.groups)
        flow.edit(source.ids, lambda keep: _set(node, "group", int(keep.sum())))
        _put(flow, layer, source.ids, ids, 1, depthwise=True)


def _dense(flow: Flow, node: Any) -> None:
    layer, source = _layer(flow, node), flow.channels.get(node.input[0])
    last = len(flow.shape(node.input[0])) - 1
    if last < 1 or (source is not None and source.axis != last):
        raise NotFollowedError("reads channels that lie on another axis")
    _make(flow, layer, source, last)


def _make(flow: Flow, layer: Layer, source: Channels | None, axis: int) -> None:
    """A layer each of whose filters sees all channels of its input."""
    inputs = source.ids if source is not None else None
    if inputs is not None:
        flow.cut(layer.node, 1, layer.in_axis, inputs)
    ids = flow.fresh(layer.weight.shape[layer.out_axis])
    _put(flow, layer, inputs, ids, axis, depthwise=False)


def _put(
    flow: Flow, layer: Layer, inputs: Ids | None, ids: Ids, axis: int, *, depthwise: bool
) -> None:
    """A layer's output, and what it loses with a channel of it."""
    node = layer.node
    flow.made.append(Made(layer, inputs, ids, depthwise))
    flow.channels[layer.output] = Channels(axis, ids)
    flow.cut(node, 1, layer.out_axis, ids)
    if len(node.input) > 2 and node.input[2]:
        bias = flow.known[node.input[2]]
        if bias.ndim and bias.shape[-1] == len(ids):
            flow.cut(node, 2, bias.ndim - 1, ids)


def _elementwise(flow: Flow, node: Any) -> None:
    """Any function of numbers in the same place, constants and gates among them."""
    shape = flow.shape(node.output[0])
    read = {name: flow.channels[name] for name in node.input if name in flow.channels}
    axes = {len(flow.shape(name)) - channels.axis for name, channels in read.items()}
    axis = len(shape) - max(axes)
    wide = [channels.ids for channels in read.values() if len(channels.ids) == shape[axis]]
    if len(axes) > 1 or len(wide) < len(read):
        raise NotFollowedError("joins tensors whose channels do not correspond")
    for place, name in enumerate(node.input):
        own = () if not name or name in read else flow.shape(name)
        behind = len(shape) - axis
        if len(own) < behind or own[-behind] == 1:
            continue
        if name not in flow.known:
            raise NotFollowedError(f"joins them with {name}, whose channels cannot change")
        flow.cut(node, place, len(own) - behind, wide[0])
    for ids in wide[1:]:
        flow.tie(wide[0], ids)
    flow.channels[node.output[0]] = Channels(axis, wide[0])


def _batchnorm(flow: Flow, node: Any) -> None:
    source = flow.source(node)
    if source.axis != 1 or any(name not in flow.known for name in node.input[1:]):
        raise NotFollowedError("has parameters that are not constant")
    for place in range(1, 5):
        flow.cut(node, place, 0, source.ids)
    flow.channels[node.output[0]] = source


def _window(flow: Flow, node: Any) -> None:
    """Pooling: each channel by itself."""
    source = flow.source(node)
    if source.axis != 1 or len(node.output) > 1:
        raise NotFollowedError("pools along the channels, or tells where it found what it gives")
    flow.channels[node.output[0]] = source


def _along_others(flow: Flow, node: Any) -> None:
    """Padding and other changes of all axes but that of the channels."""
    source = flow.source(node)
    if flow.shape(node.output[0])[source.axis] != len(source.ids):
        raise NotFollowedError("changes how many channels there are")
    flow.channels[node.output[0]] = source


def _resize(flow: Flow, node: Any) -> None:
    _along_others(flow, node)
    source, sizes = flow.source(node), node.input[3] if len(node.input) > 3 else ""
    axes = list(onnx_graph.attributes(node).get("axes", range(len(flow.shape(node.input[0])))))
    if not sizes or source.axis not in axes:
        return
    if sizes not in flow.known:
        raise NotFollowedError("is told a size that is not constant")
    _retell(flow, node, 3, axes.index(source.axis), source.ids)


def _retell(
    flow: Flow, node: Any, place: int, row: int, ids: Ids, bound: int | None = None
) -> None:
    """A constant input of a node says in one row how many of the first channels there are."""

    def retell(keep: Keep) -> None:
        told = flow.known[node.input[place]].copy()
        told[row] = keep[:bound].sum()
        flow.write(node, place, told)

    flow.edit(ids, retell)


def _reduce(flow: Flow, node: Any) -> None:
    """Sums, means and extremes of other axes than that of the channels."""
    source, given = flow.source(node), onnx_graph.attributes(node)
    axes = given.get("axes")
    if axes is None and len(node.input) > 1 and node.input[1] in flow.known:
        axes = flow.known[node.input[1]].tolist()
    rank = len(flow.shape(node.input[0]))
    gone = {axis % rank for axis in axes or range(rank)}
    if source.axis in gone:
        raise NotFollowedError("reduces the channels")
    ahead = 0 if given.get("keepdims", 1) else sum(axis < source.axis for axis in gone)
    flow.channels[node.output[0]] = Channels(source.axis - ahead, source.ids)


def _concat(flow: Flow, node: Any) -> None:
    found = [flow.channels.get(name) for name in node.input]
    read = [part for part in found if part is not None]
    axis = onnx_graph.attributes(node)["axis"] % len(flow.shape(node.output[0]))
    if len({part.axis for part in read}) > 1:
        raise NotFollowedError("joins tensors whose channels lie on different axes")
    if axis == read[0].axis:
        lengths = [flow.shape(name)[axis] for name in node.input]
        parts = [
            part.ids if part is not None else flow.fresh(length)
            for part, length in zip(found, lengths, strict=True)
        ]
        for name, part, ids in zip(node.input, found, parts, strict=True):
            if part is None:
                flow.fix(ids, f"{name} cannot change")
        flow.channels[node.output[0]] = Channels(axis, np.concatenate(parts))
        return
    if len(read) < len(found):
        raise NotFollowedError("joins them with a tensor whose channels cannot change")
    for part in read[1:]:
        flow.tie(read[0].ids, part.ids)
    flow.channels[node.output[0]] = read[0]


def _split(flow: Flow, node: Any) -> None:
    source = flow.source(node)
    axis = onnx_graph.attributes(node).get("axis", 0) % len(flow.shape(node.input[0]))
    if axis != source.axis:
        flow.channels.update(dict.fromkeys(node.output, source))
        return
    places = np.cumsum([flow.shape(name)[axis] for name in node.output])[:-1]
    for name, ids in zip(node.output, np.split(source.ids, places), strict=True):
        flow.channels[name] = Channels(axis, ids)

    def resize(keep: Keep) -> None:
        lengths = [int(part.sum()) for part in np.split(keep, places)]
        if onnx_graph.opset(flow.model) < _SPLIT_INPUT:
            _set(node, "split", lengths)
        else:
            _set(node, "num_outputs", None)
            flow.write(node, 1, np.array(lengths, np.int64))

    flow.edit(source.ids, resize)


def _slice(flow: Flow, node: Any) -> None:
    source, cuts = flow.source(node), onnx_graph.slices(node, flow.known)
    rank = len(flow.shape(node.input[0]))
    if cuts is None:
        raise NotFollowedError("has bounds that are not constant")
    row = next((n for n, cut in enumerate(cuts) if cut.axis % rank == source.axis), None)
    if row is None:
        flow.channels[node.output[0]] = source
        return
    if cuts[row].step != 1 or onnx_graph.opset(flow.model) < _SLICE_INPUTS:
        raise NotFollowedError("takes channels here and there")
    start, stop, _ = slice(cuts[row].start, cuts[row].stop).indices(len(source.ids))
    flow.channels[node.output[0]] = Channels(source.axis, source.ids[start:stop])
    for place, bound in ((1, start), (2, stop)):
        _retell(flow, node, place, row, source.ids, bound)


def _transpose(flow: Flow, node: Any) -> None:
    source, rank = flow.source(node), len(flow.shape(node.input[0]))
    order = onnx_graph.attributes(node).get("perm", range(rank)[::-1])
    flow.channels[node.output[0]] = Channels(list(order).index(source.axis), source.ids)


def _view(flow: Flow, node: Any) -> None:
    """The same numbers under other axes: that of the channels stays, or takes in those after it."""
    source = flow.source(node)
    old, new = flow.shape(node.input[0]), flow.shape(node.output[0])
    axis = next((n for n in range(len(new)) if _holds(old, source.axis, new, n)), None)
    if axis is None:
        raise NotFollowedError("regroups the channels")
    ids = np.repeat(source.ids, new[axis] // old[source.axis])
    if node.op_type == "Reshape":
        target = flow.values.get(node.input[1])
        if target is None or (target[axis] >= 0 and node.input[1] not in flow.known):
            raise NotFollowedError("is told a shape that is not constant")
        if target[axis] >= 0:
            _retell(flow, node, 1, axis, ids)
    flow.channels[node.output[0]] = Channels(axis, ids)


def _holds(old: tuple[int, ...], axis: int, new: tuple[int, ...], place: int) -> bool:
    """Whether axis `place` of a new shape holds axis `axis` of the old one, perhaps with others."""
    times, rest = divmod(new[place], old[axis])
    ahead, behind = prod(new[:place]), prod(new[place + 1 :])
    return not rest and ahead == prod(old[:axis]) and times * behind == prod(old[axis + 1 :])


def _shape(flow: Flow, node: Any) -> None:
    """Harmless where only other lengths than that of the channels are looked at."""
    source, rank = flow.source(node), len(flow.shape(node.input[0]))
    for reader in (n for n in flow.model.graph.node if node.output[0] in n.input):
        if source.axis in _looked_at(reader, flow, rank):
            raise NotFollowedError("tells how many channels there are")


def _looked_at(reader: Any, flow: Flow, rank: int) -> list[int]:
    """The axes whose lengths a node takes from a shape."""
    if reader.op_type == "Gather" and reader.input[1] in flow.known:
        return [axis % rank for axis in flow.known[reader.input[1]].ravel().tolist()]
    cuts = onnx_graph.slices(reader, flow.known) if reader.op_type == "Slice" else None
    wanted = slice(cuts[0].start, cuts[0].stop, cuts[0].step) if cuts else slice(None)
    return list(range(rank))[wanted]


def _set(node: Any, name: str, value: int | list[int] | None) -> None:
    """Changes an attribute; None takes it away."""
    from onnx import helper

    for entry in [entry for entry in node.attribute if entry.name == name]:
        node.attribute.remove(entry)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


_ELEMENTWISE = (
    *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Clip", "Gelu"),
    *("Sigmoid", "HardSigmoid", "HardSwish", "Mish", "Tanh", "Softplus", "Softsign", "Erf"),
    *("Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Ceil", "Round", "Reciprocal"),
    *("Identity", "Cast", "Dropout"),
    *("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean"),
)
_POOLS = ("MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool")
_REDUCTIONS = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSumExp", "SumSquare")
FOLLOWERS: dict[str, Follower] = {
    "Conv": _conv,
    "Gemm": _dense,
    "MatMul": _dense,
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_POOLS, _window),
    **{f"Reduce{kind}": _reduce for kind in _REDUCTIONS},
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _view),
    "BatchNormalization": _batchnorm,
    "Pad": _along_others,
    "Resize": _resize,
    "Upsample": _along_others,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Transpose": _transpose,
    "Shape": _shape,
}

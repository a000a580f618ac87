"""Structured pruning: whole output channels go, those whose filters have the lowest norms.

Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017: a filter of small weights makes a
weak channel, and taking it out takes its rows from the next layer as well. The result is a smaller
dense network that any engine runs. The new network computes what the old one would if the filters
that went, their biases included, had been zero, and what follows them kept that zero.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engines import cost
from engines.compress.flow import Flow, Ids, Keep, Made
from engines.compress.followers import follow
from engines.compress.layers import Compressed, compressed, copied, layers_of, norms, require_shares
from engines.errors import OptionError, ProgramError
from engines.tensor import TensorSpec

#: Orders of the norms, by name.
NORMS = {"l1": 1, "l2": 2}
#: So finely the ratio is searched that leaves a share of the multiply-adds.
_STEPS = 1024


def prune(
    model: Any,
    inputs: Iterable[TensorSpec],
    *,
    ratio: float | None = None,
    macs: float | None = None,
    norm: str = "l1",
    multiple: int = 1,
    keep: Collection[str] = (),
) -> Compressed:
    """Takes the weakest channels out of every group of layers that share them.

    Args:
        model: an `onnx.ModelProto`; it is not changed.
        inputs: with the lengths to count with.
        ratio: share of its channels that each group loses, 0..1.
        macs: or share of the network's multiply-adds that is left, 0..1: every group loses the
            smallest same share of its channels that leads there.
        norm: one of `NORMS`.
        multiple: each group keeps a multiple of so many channels, as many processors want it for
            their registers; those of a group that cannot go come on top.
        keep: names of layers whose outputs stay as they are.

    Raises:
        OptionError: not exactly one of `ratio` and `macs` is given, one is out of range, or there
            is no such norm or layer.
        ProgramError: the network cannot be pruned, or not so far.
    """
    if (ratio is None) == (macs is None):
        raise OptionError("expected either a ratio of channels to take out or of macs to leave")
    require_shares(ratio=ratio, macs=macs)
    if norm not in NORMS:
        raise OptionError(f"norm: expected one of {', '.join(NORMS)}, got {norm!r}")
    if multiple < 1:
        raise OptionError(f"multiple: expected 1 or more channels, got {multiple}")
    inputs = tuple(inputs)
    model, before = copied(model, inputs)
    flow = follow(model, before)
    _keep(flow, keep)
    candidates = _Candidates(flow, NORMS[norm], multiple)
    if ratio is None:
        counts = cost.multiply_adds(before.graph)
        ratio = _ratio(lambda share: candidates.multiply_adds(share, counts), macs or 0.0)
    staying = candidates.staying(ratio)
    left = candidates.left(staying)
    kept = {
        made.layer.output: ((made.layer.output,), _share(made, staying, NORMS[norm]))
        for made in flow.made
        if not all(staying[ids].all() for ids in (made.inputs, made.outputs) if ids is not None)
    }
    flow.apply(staying)
    result = compressed(before, model, inputs, kept, left)
    return replace(result, channels={m.layer.output: staying[m.outputs] for m in flow.made})


def _keep(flow: Flow, names: Collection[str]) -> None:
    """Lets the outputs of the named layers stay. Raises `OptionError` for what is no layer."""
    known = {layer.name for layer in layers_of(flow.model.graph)}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise OptionError(f"keep: the network has no layer {name!r}{hint}")
    for made in flow.made:
        if made.layer.name in names:
            flow.fix(made.outputs, "it shall stay")


def _share(made: Made, staying: Keep, order: int) -> float:
    """What is left of the sum of a layer's norms."""
    layer = made.layer
    weight = np.compress(staying[made.outputs], layer.weight, layer.out_axis)
    if made.inputs is not None and not made.depthwise:
        weight = np.compress(staying[made.inputs], weight, layer.in_axis)
    total = norms(layer.weight, layer.out_axis, order).sum()
    return float(norms(weight, layer.out_axis, order).sum() / (total or 1.0))


def _ratio(multiply_adds: Callable[[float], float], wanted: float) -> float:
    """The smallest ratio that leaves so small a share of the multiply-adds."""
    steps = range(_STEPS)
    step = bisect_left(steps, True, key=lambda n: multiply_adds(n / _STEPS) <= wanted)
    if step == _STEPS:
        least = multiply_adds((_STEPS - 1) / _STEPS)
        raise ProgramError(f"pruning leaves at least {least:.3f} of its multiply-adds")
    return step / _STEPS


class _Candidates:
    """The channels that can go, group by group, the weakest first.

    Args:
        flow: of the network.
        order: of the norm.
        multiple: of channels that each group keeps.

    Attributes:
        unit: of each channel; those of one unit go together.
    """

    def __init__(self, flow: Flow, order: int, multiple: int) -> None:
        self._flow, self._multiple = flow, multiple
        self.unit, self._reasons = flow.units()
        groups = self._groups(self._strength(order))
        free = _Free(self.unit[channels.ids] for channels in flow.channels.values())
        self._turns = [(len(units), [one for one in units.tolist() if free.take(one)])
                       for units in groups]  # fmt: skip

    def staying(self, ratio: float) -> Keep:
        """Whether each channel stays where every group loses this share of those that can go."""
        gone = []
        for size, turn in self._turns:
            kept = ceil((size - int(ratio * size)) / self._multiple) * self._multiple
            gone += turn[: max(size - kept, 0)]
        return ~np.isin(self.unit, gone)

    def multiply_adds(self, ratio: float, counts: Mapping[str, int]) -> float:
        """The share of the multiply-adds that is left then.

        Args:
            ratio: as above.
            counts: of each layer, by its output.
        """
        staying, left = self.staying(ratio), dict[str, float](counts)
        for made in self._flow.made:
            left[made.layer.output] *= staying[made.outputs].mean()
            if made.inputs is not None and not made.depthwise:
                left[made.layer.output] *= staying[made.inputs].mean()
        return sum(left.values()) / sum(counts.values())

    def left(self, staying: Keep) -> dict[str, str]:
        """Why a layer keeps all channels it makes, by its name."""
        reasons = dict[str, str]()
        whole = {made.layer.output: made for made in self._flow.made}
        for layer in layers_of(self._flow.model.graph):
            made = whole.get(layer.output)
            if made is None:
                reasons[layer.name] = self._flow.refused[layer.name]
            elif staying[made.outputs].all():
                units = self.unit[made.outputs].tolist()
                few = f"the share of its {len(units)} channels that can go is less than one"
                told = [self._reasons.get(one, few) for one in units]
                reasons[layer.name] = few if few in told else told[0]
        return reasons

    def _strength(self, order: int) -> NDArray[np.float64]:
        """Of each unit: the mean norm of its filters, each in terms of its layer's mean."""
        total, count = np.zeros((2, self.unit.max(initial=0) + 1))
        for made in self._flow.made:
            found = norms(made.layer.weight, made.layer.out_axis, order)
            np.add.at(total, self.unit[made.outputs], found / (found.mean() or 1.0))
            np.add.at(count, self.unit[made.outputs], 1)
        strength: NDArray[np.float64] = total / np.maximum(count, 1)
        return strength

    def _groups(self, strength: NDArray[np.float64]) -> list[Ids]:
        """Units by the group of layers that make them, the weakest first."""
        made = [np.unique(self.unit[layer.outputs]) for layer in self._flow.made]
        units = np.concatenate([np.empty(0, np.int64), *made])
        layers = np.repeat(np.arange(len(made)), [len(one) for one in made]) + len(strength)
        size = len(strength) + len(made)
        links = coo_array((np.ones(len(units)), (units, layers)), shape=(size, size))
        group = connected_components(links, directed=False)[1]
        able = np.setdiff1d(units, list(self._reasons))
        able = able[np.argsort(strength[able], kind="stable")]
        return [able[group[able] == one] for one in np.unique(group[able])]


class _Free:
    """Which units can still go without leaving a tensor empty.

    Args:
        tensors: the units along the channels of every tensor.
    """

    def __init__(self, tensors: Iterable[Ids]) -> None:
        self._left: dict[bytes, int] = {}
        self._holders: dict[int, list[bytes]] = {}
        for ids in tensors:
            units, key = np.unique(ids), ids.tobytes()
            if key not in self._left:
                self._left[key] = len(units)
                for one in units.tolist():
                    self._holders.setdefault(one, []).append(key)

    def take(self, unit: int) -> bool:
        """Lets a unit go where it can."""
        holders = self._holders.get(unit, [])
        able = all(self._left[key] > 1 for key in holders)
        if able:
            for key in holders:
                self._left[key] -= 1
        return able

"""A device segment of an artefact, checked and ready to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError, TensorError
from engines.sim_npu.artefact import Artefact, Layer, Segment, Tensor
from engines.sim_npu.runtime.arithmetic import step
from engines.sim_npu.runtime.checks import check
from engines.sim_npu.runtime.tables import Bytes

Int8 = NDArray[np.int8]


class DeviceProgram:
    """Runs a segment's layers in order; int8 in, int8 out.

    Attributes:
        cycles: of the whole segment, by the compiler's schedule.
        cycles_by_layer: the same, by the layer's name.
        macs: multiply-adds of its convolutions and matrix products.
        size: bytes on the device: constants, and the tensors at the moment when most are alive.

    Args:
        artefact: that the segment is of.
        segment: on the device.
        threads: that one layer may use.

    Raises:
        ProgramError: a layer is not what its operator's row says; names it.
    """

    def __init__(self, artefact: Artefact, segment: Segment, threads: int = 1) -> None:
        self._tensors = {name: artefact.tensors[name] for name in _names(artefact, segment)}
        self._inputs, self._outputs = segment.inputs, segment.outputs
        for layer in segment.layers:
            check(layer, self._tensors, artefact.rounding)
        self._layers = segment.layers
        self._steps = [
            step(layer, self._tensors, artefact.rounding, threads) for layer in segment.layers
        ]
        self._last_uses = _last_uses(segment)
        self.cycles_by_layer: Counter[str] = Counter()
        for layer in segment.layers:
            self.cycles_by_layer[layer.name] += layer.cycles
        self.cycles = self.cycles_by_layer.total()
        self.macs = sum(_macs(layer, self._tensors) for layer in segment.layers)
        sizes = {name: prod(tensor.shape) for name, tensor in self._tensors.items()}
        self.size = self._constant_bytes() + peak_bytes(segment, sizes)

    def run(self, inputs: Mapping[str, Int8]) -> dict[str, Int8]:
        """All layers once.

        Args:
            inputs: the segment's, by name.

        Returns:
            The segment's outputs; the caller owns them.

        Raises:
            TensorError: an input is not int8 of the tensor's shape; float32 is never taken.
        """
        alive = {name: self._taken(name, inputs[name]) for name in self._inputs}
        for layer, run, dead in zip(self._layers, self._steps, self._last_uses, strict=True):
            alive[layer.output] = run(*(alive[name] for name in layer.inputs))
            for name in dead:
                del alive[name]
        return {name: _flipped(alive[name]).view(np.int8) for name in self._outputs}

    def _taken(self, name: str, array: Int8) -> Bytes:
        tensor = self._tensors[name]
        if array.dtype != np.int8 or array.shape != tensor.shape:
            raise TensorError(
                f"{name}: the device takes int8{list(tensor.shape)}, got "
                f"{array.dtype}{list(array.shape)}; quantise with the artefact's scale"
            )
        return _flipped(array.view(np.uint8))

    def _constant_bytes(self) -> int:
        return sum(array.nbytes for layer in self._layers for array in layer.constants.values())


def peak_bytes(segment: Segment, sizes: Mapping[str, int]) -> int:
    """Of a segment's tensors, at the moment when most are alive.

    Args:
        segment: on the device.
        sizes: bytes of its tensors, by name.
    """
    alive = set(segment.inputs)
    peak = sum(sizes[name] for name in alive)
    for layer, dead in zip(segment.layers, _last_uses(segment), strict=True):
        alive.add(layer.output)
        peak = max(peak, sum(sizes[name] for name in alive))
        alive -= set(dead)
    return peak


def _flipped(values: Bytes) -> Bytes:
    """Between q and q + 128, either way, in 8 bits: the topmost bit."""
    return np.bitwise_xor(values, 128, order="C")


def _names(artefact: Artefact, segment: Segment) -> list[str]:
    """Of all tensors of the segment; each must be known and made before it is read."""
    made = list(segment.inputs)
    for layer in segment.layers:
        if missing := [name for name in layer.inputs if name not in made]:
            raise ProgramError(f"layer {layer.name!r}: reads {missing}, which nothing makes")
        made.append(layer.output)
    if missing := [name for name in (*made, *segment.outputs) if name not in artefact.tensors]:
        raise ProgramError(f"tensors {missing} have no scale in the artefact")
    return made


def _macs(layer: Layer, tensors: Mapping[str, Tensor]) -> int:
    """Each element of the output takes the weights of its channel once."""
    weights = layer.constants.get("weights")
    return 0 if weights is None else weights[0].size * prod(tensors[layer.output].shape)


def _last_uses(segment: Segment) -> list[list[str]]:
    """For each layer, the tensors that nothing reads after it."""
    last = {name: index for index, layer in enumerate(segment.layers) for name in layer.inputs}
    dead: list[list[str]] = [[] for _ in segment.layers]
    for name, index in last.items():
        if name not in segment.outputs:
            dead[index].append(name)
    return dead

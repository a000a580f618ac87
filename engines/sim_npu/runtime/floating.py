"""Device segments of a device that computes in fp16 or fp32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any

from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Segment
from engines.sim_npu.runtime.host import HostProgram
from engines.sim_npu.runtime.program import peak_bytes


class FloatProgram:
    """Runs a segment's network on ONNX Runtime; its layers only say how long the device takes.

    A network in fp16 rounds where its nodes do; bit for bit it is no device's, as the order of
    additions of one is not known.

    Attributes:
        specs: of its inputs and outputs, by name; as the network has them.
        cycles: of the whole segment, by the compiler's schedule.
        cycles_by_layer: the same, by the layer's name.
        macs: multiply-adds.
        size: bytes on the device: the network, and the tensors at the moment when most are alive.
    """

    def __init__(self, segment: Segment, threads: int = 1) -> None:
        self._program = HostProgram(segment, threads)
        self.specs = self._program.specs
        self.cycles_by_layer: Counter[str] = Counter()
        for layer in segment.layers:
            self.cycles_by_layer[layer.name] += layer.cycles
        self.cycles = self.cycles_by_layer.total()
        self.macs = sum(_count(layer, "macs") for layer in segment.layers)
        sizes = {name: spec.dtype.itemsize * prod(spec.shape) for name, spec in self.specs.items()}
        sizes |= {layer.output: _count(layer, "bytes") for layer in segment.layers}
        self.size = len(segment.network) + peak_bytes(segment, sizes)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The segment's outputs."""
        return self._program.run(inputs)


def _count(layer: Layer, name: str) -> int:
    found = layer.attributes.get(name)
    if not isinstance(found, int):
        raise ProgramError(f"layer {layer.name!r}: {name} is {found}, expected an integer")
    return found

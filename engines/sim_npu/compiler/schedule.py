"""When each layer runs and for how long, by the profile's multiply-adds, bandwidth and memory.

A layer takes as long as the slower of its arithmetic and its transfers, which overlap (Williams et
al., "Roofline", 2009), and a fixed start. The bandwidth is divided among the cores, so that the
schedule holds when all of them are at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil, prod

from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.compiler.tiling import WEIGHTED, WIDTHS, Tiling, tile
from engines.sim_npu.profiles import Profile


@dataclass(frozen=True, slots=True)
class Slot:
    """One layer in the schedule.

    Attributes:
        layer: with its cycles.
        tiling: how it is cut.
        start: cycle at which it starts, from the start of its segment.
        macs: multiply-adds; an element of a layer without weights counts as one.
        limit: what it waits for: ``arithmetic`` or ``bandwidth``.
    """

    layer: Layer
    tiling: Tiling
    start: int
    macs: int
    limit: str

    @property
    def intensity(self) -> float:
        """Multiply-adds for each byte moved."""
        return self.macs / self.tiling.moved_bytes if self.tiling.moved_bytes else 0.0


def schedule(
    layers: Iterable[Layer], tensors: Mapping[str, Tensor], profile: Profile
) -> list[Slot]:
    """The layers of a segment in order, one at a time on one core.

    Raises:
        ProgramError: a tile does not fit the chip, or the segment not the external memory.
    """
    slots, now = list[Slot](), 0
    bytes_per_cycle = profile.bandwidth / profile.cores / profile.clock_hz
    for layer in layers:
        tiling = tile(layer, tensors, profile)
        macs = multiply_adds(layer, tensors)
        arithmetic, transfer = macs / profile.macs_per_cycle, tiling.moved_bytes / bytes_per_cycle
        cycles = profile.layer_cycles + ceil(max(arithmetic, transfer))
        limit = "arithmetic" if arithmetic >= transfer else "bandwidth"
        slots.append(Slot(replace(layer, cycles=cycles), tiling, now, macs, limit))
        now += cycles
    needed = external_bytes([slot.layer for slot in slots], tensors, WIDTHS[profile.precision])
    if needed > profile.memory_bytes:
        raise ProgramError(
            f"the network takes {needed} bytes of external memory, {profile.name} has "
            f"{profile.memory_bytes}; compile it for smaller inputs or a smaller batch"
        )
    return slots


def multiply_adds(layer: Layer, tensors: Mapping[str, Tensor]) -> int:
    """Of one run of a layer; moving data takes none."""
    made = prod(tensors[layer.output].shape)
    if layer.operator in WEIGHTED:
        return made * prod(layer.constants["weights"].shape[1:])
    if layer.operator in ("average_pool", "max_pool"):
        down, across = layer.attributes["kernel"]
        return made * int(down * across)
    return made if layer.operator in ("add", "mul", "lookup", "concat") else 0


def external_bytes(layers: list[Layer], tensors: Mapping[str, Tensor], width: int = 1) -> int:
    """All constants, and the tensors alive when they take most: until the last layer reads them."""
    last = {name: n for n, layer in enumerate(layers) for name in layer.inputs}
    first = {layer.output: n for n, layer in enumerate(layers)}
    most = 0
    for now in range(len(layers)):
        alive = (
            name
            for name in first.keys() | last.keys()
            if first.get(name, -1) <= now <= last.get(name, len(layers))
        )
        most = max(most, sum(prod(tensors[name].shape) for name in alive))
    constants = sum(a.nbytes for layer in layers for a in layer.constants.values())
    return width * most + constants

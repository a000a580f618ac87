"""What the tensors of a network hold in float32 and in int8, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.difference import Difference
from engines.program import Tensors
from engines.sim_npu.artefact import Tensor
from engines.sim_npu.compiler.grid import LOWEST
from engines.sim_npu.compiler.quantise import Quantised
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.compiler.simulate import fake_quantised

#: Of a histogram: each of as many levels of the tensor's grid.
BINS = 64
_LEVELS = 256 // BINS


def inspect(quantised: Quantised, probes: Iterable[Tensors]) -> list[dict[str, Any]]:
    """Every tensor the device makes and every output, in the order they are made.

    Args:
        quantised: the network.
        probes: inputs as recorded, float32; others than those of the calibration tell more. Only
            sums are kept of each.

    Returns:
        For each tensor plain values, as JSON has them: ``tensor`` (its name), ``shape``, ``lowest``
        and ``highest`` of its values in float32; ``snr_db`` and ``cosine`` of what int8 makes of
        all layers so far (`engines.difference`). Of a tensor in int8 also its ``scale`` and
        ``zero_point``; ``float32`` and ``int8``, counts of values in `BINS` bins over its grid; and
        ``below`` and ``above``, how many in float32 are beyond it. They are None in an output of
        the host. None stands for what is not finite, too, and for a cosine of tensors that never
        had one shape.
    """
    model = quantised.model
    made = [layer.output for layers in quantised.layers.values() for layer in layers]
    names = dict.fromkeys([*made, *(value.name for value in model.graph.output)])
    seen = {name: _Seen(name, quantised.tensors.get(name)) for name in names}
    exact, rounded = Reference(model, names), Reference(fake_quantised(quantised), names)
    for feeds in probes:
        expected, found = exact.run(feeds), rounded.run(feeds)
        for name, one in seen.items():
            one.add(expected[name], found[name])
    return [one.plain() for one in seen.values()]


@dataclass(slots=True)
class _Seen:
    """One tensor; `grid` is None where it is float32."""

    name: str
    grid: Tensor | None
    shape: tuple[int, ...] = ()
    lowest: float = inf
    highest: float = -inf
    difference: Difference = field(default_factory=Difference)
    exact: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS + 2, np.int64))
    rounded: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS + 2, np.int64))

    def add(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        """Counts the values of one probe."""
        self.shape = expected.shape
        if expected.size:
            self.lowest = min(self.lowest, float(expected.min()))
            self.highest = max(self.highest, float(expected.max()))
        self.difference.add(expected, found)
        if self.grid is not None:
            self.exact += _counts(expected, self.grid)
            self.rounded += _counts(found, self.grid)

    def plain(self) -> dict[str, Any]:
        told = {
            "tensor": self.name,
            "shape": list(self.shape),
            "lowest": _finite(self.lowest),
            "highest": _finite(self.highest),
            "snr_db": _finite(self.difference.snr_db),
            "cosine": self.difference.cosine if self.difference.runs else None,
        }
        if self.grid is None:
            return told | dict.fromkeys(
                ("scale", "zero_point", "float32", "int8", "below", "above")
            )
        below, *inside, above = self.exact.tolist()
        return told | {
            "scale": self.grid.scale,
            "zero_point": self.grid.zero_point,
            "float32": inside,
            "int8": self.rounded[1:-1].tolist(),
            "below": below,
            "above": above,
        }


def _counts(values: NDArray[Any], grid: Tensor) -> NDArray[np.int64]:
    """Of values below the grid, in each of its bins, and above it."""
    places = values.ravel() * np.float32(1 / (grid.scale * _LEVELS))
    places += np.float32((grid.zero_point - LOWEST + 0.5) / _LEVELS + 1)
    np.clip(places, 0, BINS + 1, out=places)
    return np.bincount(places.astype(np.int32), minlength=BINS + 2)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None

"""Known answers: what proves that an engine computes a network right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """Inputs with the outputs they must give, in the precision the network is stored in.

    Attributes:
        inputs: every input by name, in its dtype.
        outputs: some or all outputs by name.
        atol: largest absolute difference allowed.
    """

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    atol: float

    def fits(self, specs: Iterable[TensorSpec]) -> bool:
        """Whether an engine with these inputs takes these tensors."""
        return all(s.name in self.inputs and s.accepts(self.inputs[s.name].shape) for s in specs)

    def require(self, outputs: Mapping[str, NDArray[Any]], tolerance: float) -> None:
        """Compares what an engine gave.

        Args:
            outputs: by name.
            tolerance: what the backend promises, relative to the output's largest magnitude; it
                holds where it allows more than `atol`.

        Raises:
            ProgramError: an output is further off.
        """
        for name, expected in self.outputs.items():
            allowed = max(self.atol, tolerance * float(np.abs(expected).max(initial=0)))
            off = difference(outputs[name], expected)
            if not off <= allowed:
                raise ProgramError(
                    f"output {name} is {off:g} away from the test vector, allowed is {allowed:g}"
                )


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest absolute difference; infinite between different shapes."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))

"""What every stage that runs a network shares: an engine of its own, and blindness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from engines.errors import EngineError, ForwardError
from engines.program import Program
from pipeline.errors import StageError


@dataclass(frozen=True, slots=True)
class Candidate:
    """One engine a program may run on.

    Attributes:
        id: of the engine in the configuration.
        make: makes the engine, new and not initialised.
        program: the variant of the program for this engine.
        retry_s: how long after a failure the engine is tried again, seconds.
    """

    id: str
    make: Callable[[], Engine]
    program: Program
    retry_s: float = 1.0


class BoundNetwork:
    """One program on the first of its engines, as a worker uses it.

    Args:
        candidates: the engines in the order of preference, each with its variant of the program.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._engine = candidates[0].make()
        self._program = candidates[0].program

    @property
    def engine_id(self) -> str:
        return self._engine.id

    @property
    def runs_on(self) -> str:
        """What it runs on, in which dtype."""
        engine = self._engine
        return (
            f"{self._program} on {engine.id} ({engine.backend}/{engine.device}/{engine.precision})"
        )

    def open(self) -> None:
        """Loads the program. Raises `StageError` when the engine cannot."""
        try:
            self._engine.init()
            self._engine.prepare(self._program)
        except EngineError as error:
            raise StageError(str(error)) from error

    @property
    def batches(self) -> bool:
        """Whether the network takes several inputs at once."""
        return self._engine.inputs[0].shape[0] == -1

    def run(self, *tensors: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Runs the program.

        Args:
            *tensors: its inputs, in the program's order.

        Returns:
            Every output by name.

        Raises:
            EngineError: the engine failed, or an output is not finite: nothing is known.
        """
        engine = self._engine
        for spec, tensor in zip(engine.inputs, tensors, strict=True):
            engine.set_tensor(spec.name, tensor)
        engine.forward()
        outputs = {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}
        _require_finite(outputs)
        return outputs

    def close(self) -> None:
        """Gives the engine back."""
        self._engine.destroy()


def _require_finite(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raises `ForwardError` naming the first tensor with an element that is not finite."""
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            continue
        # One pass without a temporary; only a sum that is not finite is worth a closer look.
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.add.reduce(array, axis=None)
        if not np.isfinite(total) and (wrong := int((~np.isfinite(array)).sum())):
            raise ForwardError(f"output {name} has {wrong} of {array.size} elements not finite")

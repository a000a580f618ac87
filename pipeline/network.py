"""What every stage that runs a network shares: its engines, and what they have to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from engines.errors import EngineError
from engines.failover import Candidate, Failover
from pipeline.errors import StageError


class BoundNetwork:
    """One program on the first of its engines that works, as a worker uses it.

    Args:
        candidates: the engines in the order of preference, each with a program of one input.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._failover = Failover(candidates)

    @property
    def engine_id(self) -> str:
        """Of the engine that ran last."""
        return self._failover.engine_id

    @property
    def runs_on(self) -> str:
        """What it runs on, in which dtype, and what stands by."""
        loaded = {engine.id: engine for engine in self._failover.engines()}
        parts = []
        for candidate in self._candidates:
            engine = loaded.get(candidate.id)
            where = (
                f"{engine.backend}/{engine.device}/{engine.precision}" if engine else "not loaded"
            )
            parts.append(f"{candidate.program} on {candidate.id} ({where})")
        return ", else ".join(parts)

    def open(self) -> None:
        """Loads the program. Raises `StageError` where no engine can."""
        try:
            self._failover.open()
        except EngineError as error:
            raise StageError(str(error)) from error

    @property
    def batches(self) -> bool:
        """Whether the network takes several inputs at once, on every engine there is."""
        return all(engine.inputs[0].shape[0] == -1 for engine in self._failover.engines())

    def run(self, tensor: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Runs the program on one input.

        Returns:
            Every output by name.

        Raises:
            EngineError: no engine could, or gave what is not finite: nothing is known.
        """
        return self._failover.run({self._failover.inputs[0].name: tensor})

    def counts(self) -> Mapping[str, int]:
        """Moves between engines, as `engines.failover.Failover.counts` has them."""
        return self._failover.counts()

    def reasons(self) -> Mapping[str, str]:
        """Why each engine that ever failed last did, by its id."""
        return self._failover.reasons()

    def close(self) -> None:
        """Gives the engines back."""
        self._failover.close()

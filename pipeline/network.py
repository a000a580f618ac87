"""What every stage with a program on an engine shares: its engines, and what they have to say."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.failover import Candidate, Failover
from engines.isolation.restarts import Restart, together
from engines.traffic import Traffic, total_by_engine
from pipeline.errors import StageError
from pipeline.packet import Packet, Status
from pipeline.stage import In, Out, Stage


class BoundNetwork:
    """One program on the first of its engines that works, as a worker uses it.

    Args:
        candidates: the engines in the order of preference, each with its variant of the program.
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
    def batch(self) -> int:
        """How many inputs the network takes at once, on every engine there is; -1: any number."""
        first = self._failover.inputs[0].shape[0]
        return max([first, *(engine.inputs[0].shape[0] for engine in self._failover.engines())])

    @property
    def batches(self) -> bool:
        """Whether the network takes any number of inputs at once, on every engine there is."""
        return self.batch == -1

    def run(self, inputs: NDArray[Any] | Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Runs the program.

        Args:
            inputs: by name; or the only one.

        Returns:
            Every output by name.

        Raises:
            EngineError: no engine could, or gave what is not finite: nothing is known.
        """
        if not isinstance(inputs, Mapping):
            inputs = {self._failover.inputs[0].name: inputs}
        return self._failover.run(inputs)

    def run_rows(self, rows: NDArray[Any], axis: int = 0) -> Mapping[str, NDArray[Any]]:
        """Runs the program on any number of rows, in as many calls as its batch asks for.

        Args:
            rows: (N, …) of the only input; N may be 0, which runs nothing.
            axis: of the outputs on which the rows lie.

        Returns:
            Every output by name, with N on that axis. Of no rows, an axis whose length only a run
            would tell has length 0.

        Raises:
            EngineError: as `run`; nothing is known of any row.
        """
        size = len(rows) if self.batches else self.batch
        parts = [
            self._run_filled(rows[start : start + size], size, axis)
            for start in range(0, len(rows), size or 1)
        ]
        if not parts:
            return {
                spec.name: np.empty(
                    [0 if i == axis else max(n, 0) for i, n in enumerate(spec.shape)], spec.dtype
                )
                for spec in self._failover.outputs
            }
        return {name: np.concatenate([part[name] for part in parts], axis) for name in parts[0]}

    def _run_filled(self, rows: NDArray[Any], size: int, axis: int) -> Mapping[str, NDArray[Any]]:
        """What the program gives for some rows, at most `size`, which is what it takes."""
        count = len(rows)
        if count < size:
            # Filled up with what the network can stand: not every one takes zeros.
            rows = rows[np.minimum(np.arange(size), count - 1)]
        found = (slice(None),) * axis + (slice(count),)
        return {name: output[found] for name, output in self.run(rows).items()}

    def counts(self) -> Mapping[str, int]:
        """Moves between engines, as `engines.failover.Failover.counts` has them."""
        return self._failover.counts()

    def reasons(self) -> Mapping[str, str]:
        """Why each engine that ever failed last did, by its id."""
        return self._failover.reasons()

    def restarts(self) -> Sequence[Restart]:
        """Engines loaded anew, as `engines.failover.Failover.restarts` has them."""
        return self._failover.restarts()

    def engine_reports(self) -> Sequence[Mapping[str, Any]]:
        """What each engine that is loaded says of itself, in the order of preference."""
        return [engine.report() for engine in self._failover.engines()]

    def traffic(self) -> Mapping[str, Traffic]:
        """What went over each engine's border, as `engines.failover.Failover.traffic` has it."""
        return self._failover.traffic()

    def close(self) -> None:
        """Gives the engines back."""
        self._failover.close()


class BoundStage(Stage[In, Out]):
    """A stage with programs on engines; a stage without any is one of plain Python.

    Args:
        *networks: owned by this copy.
    """

    def __init__(self, *networks: BoundNetwork) -> None:
        self._networks = list(networks)
        self._moves = Counter[str]()  # of networks that were let go
        self._restarts: Sequence[Restart] = ()  # of networks that were let go
        self._carried: Mapping[str, Traffic] = {}

    def open(self) -> None:
        for network in self._networks:
            network.open()
        self.runs_on = "; ".join(network.runs_on for network in self._networks)

    def counts(self) -> Mapping[str, int]:
        total = self._moves.copy()
        for network in self._networks:
            total.update(network.counts())
        return dict(total)

    def reasons(self) -> Mapping[str, str]:
        return {name: why for n in self._networks for name, why in n.reasons().items()}

    def restarts(self) -> Sequence[Restart]:
        now = (restart for network in self._networks for restart in network.restarts())
        return together([*self._restarts, *now])

    def engine_reports(self) -> Sequence[Mapping[str, Any]]:
        return [report for network in self._networks for report in network.engine_reports()]

    def traffic(self) -> Mapping[str, Traffic]:
        return total_by_engine([self._carried, *(n.traffic() for n in self._networks)])

    def _let_go(self, network: BoundNetwork) -> None:
        """Closes a network that is needed no more; what it counted stays counted."""
        self._networks.remove(network)
        self._moves.update(network.counts())
        self._restarts = together([*self._restarts, *network.restarts()])
        self._carried = total_by_engine([self._carried, network.traffic()])
        network.close()

    def close(self) -> None:
        for network in self._networks:
            network.close()


class KernelStage(BoundStage[In, Out]):
    """A stage of plain work on one packet, which an engine may do as a kernel.

    A blind frame goes through as one in which nothing is known, and where the engine fails, the
    frame is blind.

    Args:
        network: runs the kernel, owned by this copy; None: plain code does it.
    """

    #: The stage's kind, for messages.
    kind: ClassVar[str]

    def __init__(self, network: BoundNetwork | None = None) -> None:
        super().__init__(*([network] if network else []))
        self._network = network

    def process(self, packet: Packet[In]) -> Iterable[Packet[Out]]:
        if not packet.seen:
            return (packet.carrying(self._nothing(packet.payload)),)
        try:
            return (packet.carrying(self._result(packet.payload)),)
        except EngineError as error:
            blind = packet.marked(Status.BLIND, f"{self.kind}: {error}")
            return (blind.carrying(self._nothing(packet.payload)),)

    @abstractmethod
    def _nothing(self, payload: In) -> Out:
        """What a blind frame goes on with."""

    @abstractmethod
    def _result(self, payload: In) -> Out:
        """What the work makes of a payload. Raises `EngineError` where an engine fails."""

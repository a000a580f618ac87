"""An engine in a process of its own: what hangs or dies there, hangs or dies alone.

It answers to the same six calls. Tensors go through shared memory; every wait for the process is
bounded and ends at once where it dies. A process that hangs is killed, whatever it hangs in.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from time import perf_counter_ns
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import EngineError, EngineLost, EngineUnavailable, ProgramError
from engines.isolation.process import EngineProcess
from engines.options import Options
from engines.program import Kernel, Program, Tensors
from engines.tensor import TensorSpec
from engines.traffic import Work, size_of

#: How long `init` and `prepare` may take together, seconds; some devices compile for minutes.
LOAD_S = 300.0
#: How long the process may take to give its device back, seconds.
_DESTROY_S = 2.0


class IsolatedEngine(Engine):
    """Runs an engine of another class in a child process.

    Where that process dies or hangs, the call at hand raises `EngineLost`, and so does every later
    one; a new engine is needed. A network is not shared between isolated engines.

    Args:
        timeout_s: the longest a `forward` may take, seconds; None: as long as the process lives.
    """

    #: The class of the engine in the child.
    inner: ClassVar[type[Engine]]

    def __init__(
        self,
        engine_id: str,
        device: str,
        options: Options,
        precision: str = "",
        timeout_s: float | None = None,
    ) -> None:
        super().__init__(engine_id, device, options, precision)
        self._timeout_s = timeout_s
        self._process: EngineProcess | None = None
        self._loading_since_s = 0.0
        self._loading: Program | None = None
        self._report: dict[str, Any] = {}

    @classmethod
    def describe(cls) -> BackendInfo:
        return cls.inner.describe()

    @classmethod
    def can_run(cls, program: Program) -> bool:
        return cls.inner.can_run(program)

    def start_loading(self, program: Program) -> None:
        self._start()
        if not (isinstance(program, Kernel) and self._becomes_a_network(program)):
            self._send(program)

    @property
    def loaded(self) -> bool:
        process = self._process
        late = time.monotonic() - self._loading_since_s > LOAD_S
        return process is None or process.answered() or late

    def require_alive(self) -> None:
        self._alive().require_alive()

    def report(self) -> dict[str, Any]:
        pid = self._process.pid if self._process else None
        own = {"isolated": True, "process": pid, "timeout_s": self._timeout_s}
        return self._report | super().report() | own

    def _init(self) -> None:
        if self._process is None:
            self._start()
        self._alive().answer(LOAD_S, self._loading_since_s)

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        if self._loading is not program:
            self._send(program)
        answer = self._alive().answer(LOAD_S, self._loading_since_s)
        inputs, outputs, self.precision, self._report = answer
        self._loading = None
        return inputs, outputs

    def _prepare_kernel(
        self, kernel: Kernel
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        return (
            super()._prepare_kernel(kernel)
            if self._becomes_a_network(kernel)
            else self._prepare(kernel)
        )

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        process, traffic = self._alive(), self.traffic
        started_ns = perf_counter_ns()
        placed = process.inputs.write(inputs)
        traffic.copied_in.add(size_of(inputs.values()), started_ns)
        process.ask("forward", placed)
        placed, copied_in, copied_out = process.answer(self._timeout_s)
        traffic.copied_in.merge(Work(*copied_in))
        traffic.copied_out.merge(Work(*copied_out))
        outputs = process.outputs.read(placed)
        return dict(zip(outputs, traffic.copied_out.copies(outputs.values()), strict=True))

    def _warm_up(self, program: Program) -> None:
        """The engine in the child has done so."""

    def _destroy(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.answered():  # else it is still loading, or hangs
            with suppress(EngineError):
                process.ask("destroy")
                process.answer(_DESTROY_S)
        process.end()

    def _start(self) -> None:
        self._loading_since_s = time.monotonic()
        try:
            self._process = EngineProcess(str(self))
            self._process.ask(
                "init", self.inner, self.id, self.device, self.options, self.precision
            )
        except (OSError, pickle.PicklingError, AttributeError, TypeError) as error:
            raise EngineUnavailable(f"{self}: cannot be made in another process: {error}") from None

    def _send(self, program: Program) -> None:
        """Asks the child to prepare it: through shared memory, as its content may be large."""
        process = self._alive()
        try:
            data = np.frombuffer(pickle.dumps(program), np.uint8)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ProgramError(f"{self}: {program} cannot go to its process: {error}") from None
        self._loading_since_s = time.monotonic()
        process.ask("prepare", process.inputs.write({"program": data}))
        self._loading = program

    def _becomes_a_network(self, kernel: Kernel) -> bool:
        """Whether the kernel runs as the ONNX network it can also be."""
        return (
            kernel.name not in self.kernels and kernel.onnx is not None and ("onnx" in self.formats)
        )

    def _alive(self) -> EngineProcess:
        if self._process is None:
            raise EngineLost(f"{self}: has no process any more")
        return self._process


@cache
def isolated(kind: type[Engine]) -> type[IsolatedEngine]:
    """The class of that backend's engines in processes of their own."""
    told = [name for name, hint in Engine.__annotations__.items() if hint.startswith("ClassVar")]
    members = {name: getattr(kind, name) for name in told} | {"inner": kind}
    return type(f"Isolated{kind.__name__}", (IsolatedEngine,), members)

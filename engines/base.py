"""The six calls every engine answers to, and the order they come in.

    init() → prepare(program)
           → ( set_tensor(name, array) … forward() … get_tensor(name) … )*
           → destroy()

The order, the checks of names, shapes and types, and the wording of the errors live here once; a
backend writes `_init`, `_prepare`, `_forward` and `_destroy`. One engine belongs to one worker: its
calls come from one thread at a time. Engines know tensors, not frames, boxes or cameras.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from engines.answer import KnownAnswer
from engines.errors import (
    EngineError,
    EngineStateError,
    ForwardError,
    OptionError,
    ProgramError,
    TensorError,
)
from engines.options import Options
from engines.program import PRECISIONS, Kernel, Network, Program, Tensors
from engines.tensor import TensorSpec
from engines.traffic import Traffic


class State(Enum):
    """Where an engine is in its life."""

    NEW = "new"
    INITIALISED = "initialised"
    PREPARED = "prepared"
    DONE = "done with a forward"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What `sightline engines` shows of a backend.

    Attributes:
        name: as written in a configuration.
        version: of its library, empty where it is missing.
        devices: that can be used on this machine now.
        dtypes: it computes in.
        formats: of networks it loads.
        kernels: it has built in.
        missing: what is not there; empty where all is.
        install: the command that installs what is missing.
    """

    name: str
    version: str
    devices: tuple[str, ...]
    dtypes: tuple[str, ...]
    formats: tuple[str, ...]
    kernels: tuple[str, ...]
    missing: str
    install: str


class Engine(ABC):
    """Runs one program on one device.

    Attributes:
        id: the engine's name in the configuration, such as ``cpu0``.
        device: such as ``cpu`` or ``cuda:0``.
        inputs: after `prepare`, the tensors `set_tensor` takes.
        outputs: after `prepare`, the tensors `get_tensor` gives.
        precision: what is asked for; after `prepare`, what the program really runs in.
        traffic: what went over its border since; whoever replaces it goes on with other counts.
    """

    #: Name in a configuration.
    backend: ClassVar[str]
    #: Network formats this backend loads.
    formats: ClassVar[tuple[str, ...]] = ()
    #: Kernels this backend has built in.
    kernels: ClassVar[tuple[str, ...]] = ()
    #: What this backend can lower an fp32 network to, where it is asked to.
    casts: ClassVar[tuple[str, ...]] = ()
    #: Which axes of a tensor may stay open (-1) and differ from call to call.
    free_axes: ClassVar[Literal["none", "batch", "any"]] = "any"
    #: In fp32, the largest difference from ONNX Runtime it promises, relative to the output's
    #: largest magnitude.
    tolerance: ClassVar[float] = 1e-4
    #: Whether it loads networks that are in memory only.
    from_memory: ClassVar[bool] = False
    #: The options a configuration may give.
    options_type: ClassVar[type[Options]] = Options

    def __init__(self, engine_id: str, device: str, options: Options, precision: str = "") -> None:
        if precision and precision not in PRECISIONS:
            raise OptionError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}"
            )
        self.id = engine_id
        self.device = device
        self.options = options
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs: tuple[TensorSpec, ...] = ()
        self.precision = precision
        self.traffic = Traffic()
        self._state = State.NEW
        self._specs: dict[str, TensorSpec] = {}
        self._fed: Tensors = {}
        self._results: Mapping[str, NDArray[Any]] = {}

    @classmethod
    @abstractmethod
    def describe(cls) -> BackendInfo:
        """What there is of this backend on this machine; never raises for a missing library."""

    @classmethod
    def can_run(cls, program: Program) -> bool:
        """Whether this backend has what the program needs, told from its kind alone."""
        if isinstance(program, Kernel):
            return program.name in cls.kernels or (
                program.onnx is not None and "onnx" in cls.formats
            )
        return program.format in cls.formats and (program.content is None or cls.from_memory)

    def start_loading(self, program: Program) -> None:
        """Begins what `init` and `prepare` do, where that goes on by itself beside the caller.

        Both must still be called; in the caller's own process nothing is begun before that.
        """

    @property
    def loaded(self) -> bool:
        """Whether `init` and `prepare` would no longer wait for what `start_loading` began."""
        return True

    def init(self) -> None:
        """Gets library and device. Raises `EngineUnavailable` with the install command."""
        self._expect("init", State.NEW)
        self._init()
        self._state = State.INITIALISED

    def prepare(self, program: Program) -> None:
        """Loads the program, allocates what is big, and runs it once where its shapes are known.

        Raises:
            ProgramError: it cannot be loaded, or its tensors are not the declared ones.
            EngineUnavailable: the device does not take it.
        """
        self._expect("prepare", State.INITIALISED)
        if not self.can_run(program):
            raise ProgramError(f"{self}: cannot run {program}; it runs {self._abilities()}")
        if isinstance(program, Kernel) and program.name not in self.kernels:
            inputs, outputs = self._prepare_kernel(program)
        elif isinstance(program, Network):
            inputs, outputs = self._prepare_network(program)
        else:
            inputs, outputs = self._prepare(program)
        self.inputs, self.outputs = inputs, outputs
        self._specs = {spec.name: spec for spec in inputs}
        self._warm_up(program)
        self.traffic = Traffic()  # without the warm-up
        self._state = State.PREPARED

    def require_alive(self) -> None:
        """Raises `EngineLost` where the engine can no longer be used; costs next to nothing."""

    def set_tensor(self, name: str, array: NDArray[Any]) -> None:
        """Gives one input for the next `forward`.

        The array may be read-only or not contiguous; it is only read, and must not change until
        `forward` has returned. Raises `TensorError` where name, shape or dtype do not fit.
        """
        self._expect("set_tensor", State.PREPARED, State.DONE)
        spec = self._specs.get(name)
        if spec is None:
            raise TensorError(f"{self}: no input {name!r}; there are {list(self._specs)}")
        try:
            spec.validate(array)
        except TensorError as error:
            raise TensorError(f"{self}: {error}") from None
        if not array.flags.c_contiguous:
            (array,) = self.traffic.copied_in.copies([array])
        self._fed[name] = array
        self.traffic.bytes_in += array.nbytes
        self._state = State.PREPARED

    def forward(self) -> None:
        """Runs the program on the inputs that were set, and lets go of them.

        Raises `EngineStateError` where an input was not set and `ForwardError` where the backend
        failed; the engine can be used again after either.
        """
        self._expect("forward", State.PREPARED, State.DONE)
        if len(self._fed) != len(self._specs):
            unset = [name for name in self._specs if name not in self._fed]
            raise EngineStateError(f"{self}: forward() before set_tensor() of {unset}")
        fed, self._fed, self._results = self._fed, {}, {}
        self._state = State.PREPARED
        traffic = self.traffic
        before, after = traffic.copied_in, traffic.copied_out
        started_ns = perf_counter_ns() - before.ns - after.ns  # what `_forward` copies is no run
        try:
            self._results = self._forward(fed)
        except EngineError:
            raise
        except Exception as error:
            raise ForwardError(f"{self}: forward() failed: {error}") from error
        traffic.run_ns += perf_counter_ns() - before.ns - after.ns - started_ns
        traffic.forwards += 1
        self._state = State.DONE

    def get_tensor(self, name: str) -> NDArray[Any]:
        """One output of the last `forward`; the caller owns it, no later call changes it."""
        self._expect("get_tensor", State.DONE)
        try:
            array = self._results[name]
        except KeyError:
            raise TensorError(
                f"{self}: no output {name!r}; there are {list(self._results)}"
            ) from None
        self.traffic.bytes_out += array.nbytes
        return array

    def destroy(self) -> None:
        """Gives everything back; may be called at any time and more than once."""
        if self._state is State.DESTROYED:
            return
        self._state = State.DESTROYED
        self._fed, self._results = {}, {}
        self._destroy()

    def report(self) -> dict[str, Any]:
        """What runs where, in which dtype; plain values, ready for JSON."""
        return {
            "id": self.id,
            "backend": self.backend,
            "device": self.device,
            "precision": self.precision,
            "state": self._state.value,
            "inputs": [str(spec) for spec in self.inputs],
            "outputs": [str(spec) for spec in self.outputs],
            "traffic": asdict(self.traffic),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.destroy()

    def __str__(self) -> str:
        return f"engine {self.id!r} ({self.backend} on {self.device})"

    @abstractmethod
    def _init(self) -> None:
        """Imports the library and finds the device."""

    @abstractmethod
    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Loads the program; gives the inputs and outputs it really has."""

    def _prepare_network(
        self, program: Network
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        if program.content is None and not program.path.is_file():
            raise ProgramError(f"{program.path}: no such file")
        self.precision = self._agreed_precision(program)
        inputs, outputs = self._prepare(program)
        return (
            _agreed(program, "input", program.inputs, inputs),
            _agreed(program, "output", program.outputs, outputs),
        )

    def _prepare_kernel(
        self, kernel: Kernel
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The kernel as the ONNX network it can also be."""
        assert kernel.onnx is not None  # `can_run` has seen it
        with TemporaryDirectory(prefix="sightline-kernel-") as folder:
            path = Path(folder) / f"{kernel.name}.onnx"
            path.write_bytes(kernel.onnx())
            return self._prepare_network(
                Network(path, "onnx", kernel.inputs, kernel.outputs, precision="fp32")
            )

    def _agreed_precision(self, program: Network) -> str:
        """What to run in: what is asked for, else what is stored; never a choice of the library."""
        stored = program.precision
        wanted = self.precision or stored or "fp32"
        if stored and wanted != stored and not (stored == "fp32" and wanted in self.casts):
            possible = (stored, *(self.casts if stored == "fp32" else ()))
            raise ProgramError(
                f"{self}: precision {wanted} is asked for, but {program} is stored in {stored} and "
                f"{self.backend} can run it in {' or '.join(possible)} only"
            )
        return wanted

    @abstractmethod
    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        """Runs it; gives every output, in arrays that are not used again."""

    def _destroy(self) -> None:
        """Lets go of the program and the device."""

    def _expect(self, call: str, *states: State) -> None:
        if self._state not in states:
            raise EngineStateError(
                f"{self}: {call}() while {self._state.value}; the order is init, prepare, "
                "(set_tensor, forward, get_tensor) as often as needed, destroy"
            )

    def _abilities(self) -> str:
        formats = [f"{name} networks" for name in self.formats]
        return ", ".join(formats + [f"kernel {name}" for name in self.kernels])

    def _warm_up(self, program: Program) -> None:
        """Runs once, so that the first frame does not pay for late allocation.

        On the network's known answer, which must come out, else on zeros.
        """
        answer = self._known_answer(program)
        if answer is None and any(-1 in spec.shape[1:] for spec in self.inputs):
            return
        inputs = answer.inputs if answer else self._zeros()
        try:
            outputs = self._forward(inputs)
        except EngineError:
            raise
        except Exception as error:
            raise ProgramError(f"{self}: {program} does not run: {error}") from error
        if answer:
            try:
                answer.require(outputs, self.tolerance)
            except ProgramError as error:
                raise ProgramError(f"{self}: {program} gives a wrong result: {error}") from None

    def _zeros(self) -> Tensors:
        return {
            spec.name: np.zeros([abs(n) for n in spec.shape], spec.dtype) for spec in self.inputs
        }

    def _known_answer(self, program: Program) -> KnownAnswer | None:
        """The network's, where it holds here: in the stored precision, for these shapes."""
        if not isinstance(program, Network) or self.precision != program.precision:
            return None
        answer = program.answer
        return answer if answer is not None and answer.fits(self.inputs) else None


def _agreed(
    program: Network, kind: str, declared: Iterable[TensorSpec], found: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    """The declared tensors, completed by what the file says; `ProgramError` at a misfit."""
    by_name = {spec.name: spec for spec in found}
    agreed = []
    for spec in declared:
        real = by_name.get(spec.name)
        if real is None:
            raise ProgramError(
                f"{program}: expected {kind} {spec}, found {', '.join(map(str, found)) or 'none'}"
            )
        # Of a quantised tensor the real numbers are declared, and the engine has the integers.
        real_numbers = real.scale is not None and spec.dtype.kind == "f"
        wanted = replace(spec, dtype=real.dtype) if real_numbers else spec
        if not wanted.agrees(real):
            raise ProgramError(f"{program}: expected {kind} {spec}, found {real}")
        agreed.append(wanted.narrowed(real))
    if not agreed:
        return found
    if kind == "input" and len(agreed) != len(found):
        missing = [str(spec) for spec in found if spec.name not in {s.name for s in agreed}]
        raise ProgramError(f"{program}: undeclared input {', '.join(missing)}")
    return tuple(agreed)

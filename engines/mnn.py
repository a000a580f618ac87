"""MNN: Alibaba's runtime for phones and small boards; networks as ``.mnn`` files.

Sessions, not the newer modules: a module ignores the number of threads it is given and keeps the
interpreter's lock while it computes. Of the package only ``MNN`` itself is imported, which opens no
connection; its converter (``MNN.tools``) reports to its maker's servers and is never touched.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter_ns
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, ForwardError, OptionError, ProgramError
from engines.options import Options, whole
from engines.program import Network, Program, Tensors
from engines.tensor import TensorSpec
from engines.traffic import size_of

INSTALL = "pip install 'sightline[mnn]'"
#: `MNN::BackendConfig::PrecisionMode` (include/MNN/MNNForwardType.h): high, low, low in bfloat16,
#: and normal, which is what networks of 8-bit weights run in. As numbers: names make MNN talk.
PRECISION_MODES = {"fp32": 1, "fp16": 2, "bf16": 3, "int8": 0}


@dataclass(frozen=True, slots=True)
class MnnOptions(Options):
    """Options of `backend: mnn`.

    Attributes:
        threads: that share one `forward`.
    """

    threads: int = whole(1, least=1)


class MnnEngine(Engine):
    """Runs an MNN network on the CPU, with a session of its own.

    A file has one fixed shape for each input. Where the first axis is declared open, the images of
    a batch run one after another: in one piece they would be no faster, and MNN picks its methods
    by the size of the batch, so that its results would depend on it. Where another axis is declared
    open, the session is laid out anew whenever its length changes.

    There are no `casts`: on x86 MNN takes every precision mode and computes in fp32 all the same.
    """

    backend = "mnn"
    formats: ClassVar[tuple[str, ...]] = ("mnn",)
    free_axes: ClassVar[Literal["none", "batch", "any"]] = "batch"
    # Both its Winograd convolutions and ONNX Runtime's round differently: 2.1e-4 on YOLOX-nano.
    tolerance: ClassVar[float] = 5e-4
    options_type = MnnOptions
    options: MnnOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            found = version("MNN")
        except PackageNotFoundError as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        dtypes = ("float32", "int8")
        return BackendInfo(cls.backend, found, ("cpu",), dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu")
        try:
            with stdout_on_stderr():
                import MNN
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self._mnn = MNN

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        names = [spec.name for spec in program.outputs]
        self._interpreter, self._session = self._open(program, names)
        found = self._interpreter.getSessionInputAll(self._session)
        self._inputs = _by_declared_name(program, "input", program.inputs, found)
        found = self._interpreter.getSessionOutputAll(self._session)
        self._outputs = _by_declared_name(program, "output", program.outputs, found)
        self._interpreter.runSession(self._session)  # outputs have memory from here on
        tensors = (*self._inputs.values(), *self._outputs.values())
        self._packed = [tensor for tensor in tensors if self._is_packed(tensor)]
        self._one_by_one = any(spec.shape[:1] == (-1,) for spec in program.inputs)
        return _specs(self._inputs, program.inputs), _specs(self._outputs, program.outputs)

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        if not self._one_by_one:
            return self._run(inputs)
        count = len(next(iter(inputs.values())))
        images = [
            self._run({name: array[n : n + 1] for name, array in inputs.items()})
            for n in range(count)
        ]
        if count == 1:
            return images[0]
        return {name: np.concatenate([image[name] for image in images]) for name in self._outputs}

    def _destroy(self) -> None:
        self._inputs, self._outputs, self._packed = {}, {}, []
        self._session = self._interpreter = None

    def report(self) -> dict[str, Any]:
        return super().report() | {"threads": self.options.threads}

    def _open(self, program: Network, outputs: list[str]) -> tuple[Any, Any]:
        """The file's interpreter and a session that keeps these outputs."""
        try:
            interpreter = self._mnn.Interpreter(str(program.path))
            session = interpreter.createSession(
                {
                    "backend": "CPU",
                    "numThread": self.options.threads,
                    "precision": PRECISION_MODES[self.precision],
                    "saveTensors": tuple(outputs),
                }
            )
        except Exception as error:
            size = program.path.stat().st_size
            raise ProgramError(
                f"{program} ({size} bytes): MNN cannot load it as an MNN network: {error}"
            ) from error
        return interpreter, session

    def _run(self, inputs: Tensors) -> Tensors:
        if any(inputs[name].shape != tensor.getShape() for name, tensor in self._inputs.items()):
            self._resize(inputs)
        started_ns = perf_counter_ns()
        for name, tensor in self._inputs.items():
            self._put(tensor, inputs[name])
        self.traffic.copied_in.add(size_of(inputs.values()), started_ns)
        status = self._interpreter.runSession(self._session)
        if status:
            raise ForwardError(f"{self}: MNN gives status {status}")
        started_ns = perf_counter_ns()
        outputs = {name: self._get(tensor) for name, tensor in self._outputs.items()}
        self.traffic.copied_out.add(size_of(outputs.values()), started_ns)
        return outputs

    def _resize(self, inputs: Tensors) -> None:
        for name, tensor in self._inputs.items():
            self._interpreter.resizeTensor(tensor, inputs[name].shape)
        self._interpreter.resizeSession(self._session)

    def _put(self, tensor: Any, array: NDArray[Any]) -> None:
        if tensor in self._packed:
            tensor.copyFrom(self._unpacked(tensor, array))
        else:
            np.copyto(tensor.getNumpyData(), array)

    def _get(self, tensor: Any) -> NDArray[Any]:
        memory = tensor.getNumpyData()
        if tensor not in self._packed:
            return np.array(memory)
        unpacked = self._unpacked(tensor, np.empty_like(memory))
        tensor.copyToHostTensor(unpacked)
        return np.array(unpacked.getNumpyData())

    def _is_packed(self, tensor: Any) -> bool:
        """Whether a tensor is in MNN's layout of four channels at a time, which it does not tell.

        What is copied in through MNN then lies elsewhere than in the order of its axes.
        """
        memory = tensor.getNumpyData()
        numbers = np.arange(memory.size, dtype=memory.dtype).reshape(memory.shape)
        tensor.copyFrom(self._unpacked(tensor, numbers))
        return not np.array_equal(tensor.getNumpyData(), numbers)

    def _unpacked(self, tensor: Any, array: NDArray[Any]) -> Any:
        """An array as a tensor in the order of its axes, to copy to and from another one."""
        kind, order = tensor.getDataType(), tensor.getDimensionType()
        return self._mnn.Tensor(array.shape, kind, array, order)


def _by_declared_name(
    program: Network, kind: str, declared: tuple[TensorSpec, ...], found: Mapping[str, Any]
) -> dict[str, Any]:
    """The file's tensors by the names callers use; a single one may have another in the file."""
    if not declared:
        return dict(found)
    names = [spec.name for spec in declared]
    if len(names) == len(found) == 1:
        return dict(zip(names, found.values(), strict=True))
    missing = [name for name in names if name not in found]
    if missing:
        raise ProgramError(f"{program}: no {kind} {', '.join(missing)}; there are {list(found)}")
    return {name: found[name] for name in (names if kind == "output" else found)}


def _specs(tensors: Mapping[str, Any], declared: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """What the file says of its tensors, with the axes open that are declared open."""
    known = {spec.name: spec.shape for spec in declared}
    specs = []
    for name, tensor in tensors.items():
        shape = tensor.getShape()
        wanted = known.get(name, shape)
        if len(wanted) == len(shape):
            shape = tuple(-1 if w == -1 else n for w, n in zip(wanted, shape, strict=True))
        specs.append(TensorSpec(name, shape, tensor.getNumpyData().dtype))
    return tuple(specs)


@contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """What C code prints goes to stderr: MNN greets on stdout, where a caller's output belongs."""
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)

"""TVM: networks compiled ahead by Relax into a shared library, on the CPU.

A shared library is code: loading one runs it. So this engine takes only what `engines.convert.tvm`
wrote: a manifest with the library's SHA-256 lies beside it (``network.json`` for ``network.so``),
together with the TVM version and the kind of CPU it was compiled for, and all three must fit before
anything is loaded. That refuses damaged files, foreign libraries and code for another machine; it
does not prove who made them: take compiled networks only from folders and packages you trust.

TVM keeps its threads by calling thread, and reads their number and whether it pins them from the
environment, once. Pinning would put all engines of a process onto the same cores, so this engine
sets ``TVM_BIND_THREADS=0`` and ``TVM_NUM_THREADS`` to the cores of the process, where they are not
set. A caller of one thread does the work itself; with more threads, they share each operator.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.options import Options, whole
from engines.program import Network, Program, Tensors
from engines.sharing import Shared, file_sha256
from engines.tensor import TensorSpec
from engines.traffic import size_of

INSTALL = "pip install 'sightline[tvm]'"
SCHEMA = 1
#: `runtime.config_threadpool`: the given number of threads, on the fastest cores.
FASTEST_CORES = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What must be known of a compiled network before its code is loaded.

    Attributes:
        sha256: of the library.
        version: of the TVM that compiled it; no other runs it.
        cpu: the kind it was compiled for, as LLVM names it; another may lack its instructions.
        precision: it computes in.
        inputs: in the order of the function's arguments.
        outputs: in the order of its results.
    """

    sha256: str
    version: str
    cpu: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @staticmethod
    def path(library: Path) -> Path:
        """Where the manifest of a library lies."""
        return library.with_suffix(".json")

    def write(self, library: Path) -> None:
        """Puts it beside the library."""
        rows = {"schema": SCHEMA} | asdict(self)
        for key in ("inputs", "outputs"):
            rows[key] = [
                {"name": spec.name, "shape": spec.shape, "dtype": str(spec.dtype)}
                for spec in getattr(self, key)
            ]
        part = self.path(library).with_suffix(".json.part")
        part.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        part.replace(self.path(library))

    @classmethod
    def read(cls, library: Path) -> Self:
        """The manifest beside a library. Raises `ProgramError` where there is none to trust."""
        path = cls.path(library)
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            if rows.pop("schema") != SCHEMA:
                raise ProgramError(f"{path}: expected schema {SCHEMA}; convert the network again")
            for key in ("inputs", "outputs"):
                rows[key] = tuple(TensorSpec(**row) for row in rows[key])
            return cls(**rows)
        except FileNotFoundError:
            raise ProgramError(
                f"{library}: a library is code and needs its manifest {path.name} beside it; "
                "`sightline models convert MODEL --to tvm` makes both"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ProgramError):
                raise
            raise ProgramError(f"{path}: not the manifest of a compiled network: {error}") from None


@dataclass(frozen=True, slots=True)
class TvmOptions(Options):
    """Options of `backend: tvm`.

    Attributes:
        threads: that share one `forward`.
    """

    threads: int = whole(1, least=1)


def library() -> Any:
    """TVM, told before it starts a thread that it must pin none, its caller's neither.

    Raises:
        ImportError, OSError, RuntimeError: there is none that works.
    """
    os.environ.setdefault("TVM_BIND_THREADS", "0")
    os.environ.setdefault("TVM_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    import tvm

    return tvm


class _Library:
    """A loaded library, which engines of the same network share; it keeps no state of a call."""

    def __init__(self, path: Path) -> None:
        import tvm

        self.module = tvm.runtime.load_module(str(path))


_libraries = Shared()
_pool = threading.local()


class TvmEngine(Engine):
    """Runs a compiled network in a virtual machine of its own; the code is shared."""

    backend = "tvm"
    formats: ClassVar[tuple[str, ...]] = ("tvm",)
    options_type = TvmOptions
    options: TvmOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            tvm = library()
        except (ImportError, OSError, RuntimeError) as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        return BackendInfo(
            cls.backend, tvm.__version__, ("cpu",), ("float32",), cls.formats, (), "", ""
        )

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu")
        try:
            tvm = library()
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self._set_threads = tvm.get_global_func("runtime.config_threadpool")

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        import tvm
        from tvm import relax

        assert isinstance(program, Network)
        manifest = self._trusted(program.path)
        try:
            shared = _libraries.get(program, (), lambda: _Library(program.path))
            self._machine = relax.VirtualMachine(shared.module, tvm.cpu())
            self._main = self._machine["main"]
        except Exception as error:
            raise ProgramError(f"{program.path}: TVM cannot load it: {error}") from error
        self._library = shared  # keeps it among those that are shared
        self._names = [spec.name for spec in manifest.outputs]
        self._arguments = {spec.name: _Argument(spec.dtype) for spec in manifest.inputs}
        return manifest.inputs, manifest.outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        threads = self.options.threads
        if getattr(_pool, "threads", 0) != threads:
            self._set_threads(FASTEST_CORES, threads)
            _pool.threads = threads
        started_ns = perf_counter_ns()
        arguments = [take(inputs[name]) for name, take in self._arguments.items()]
        self.traffic.copied_in.add(size_of(inputs.values()), started_ns)
        found = self._main(*arguments)
        if len(self._names) == 1:
            return {self._names[0]: np.from_dlpack(found)}
        return dict(zip(self._names, map(np.from_dlpack, found), strict=True))

    def _destroy(self) -> None:
        self._main = self._machine = self._library = None
        self._arguments = {}

    def report(self) -> dict[str, Any]:
        return super().report() | {"threads": self.options.threads}

    def _trusted(self, path: Path) -> Manifest:
        """The manifest, once the library is the one it speaks of and fits this machine."""
        import tvm

        manifest = Manifest.read(path)
        digest = file_sha256(path)
        if digest != manifest.sha256:
            raise ProgramError(
                f"{path} ({path.stat().st_size} bytes): not the library its manifest names: "
                f"expected SHA-256 {manifest.sha256}, found {digest}"
            )
        for what, expected, found in (
            ("version of TVM", manifest.version, tvm.__version__),
            ("kind of CPU", manifest.cpu, host_cpu()),
        ):
            if expected != found:
                raise ProgramError(
                    f"{path}: compiled for {what} {expected}, but here is {found}; compile it "
                    "again: sightline models convert MODEL --to tvm"
                )
        if self.precision != manifest.precision:
            raise ProgramError(
                f"{self}: precision {self.precision} is asked for, but {path} was compiled for "
                f"{manifest.precision}"
            )
        return manifest


class _Argument:
    """One input in memory aligned as TVM's vectors want it (64 bytes, numpy gives 16)."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = str(dtype)
        self._shape: tuple[int, ...] | None = None

    def __call__(self, array: NDArray[Any]) -> Any:
        """A tensor with the array's numbers, used again by the next call."""
        if array.shape != self._shape:
            import tvm

            self._tensor = tvm.runtime.empty(array.shape, self._dtype)
            self._view = np.from_dlpack(self._tensor)
            self._shape = array.shape
        np.copyto(self._view, array)
        return self._tensor


def host_cpu() -> str:
    """The kind of this machine's CPU, as LLVM names it, such as ``znver4``."""
    from tvm.target import codegen

    return str(codegen.llvm_get_system_cpu())

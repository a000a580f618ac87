"""ONNX Runtime: ONNX networks on the CPU and on whatever execution providers the wheel carries.

Engines of one process that load the same file with the same options share one session: a session
may run in several threads at once, and two single-threaded callers of one session do twice the work
of one caller with two threads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines import nvidia
from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.options import Options
from engines.program import Network, Program, Tensors
from engines.sharing import Shared
from engines.tensor import TensorSpec


def _instead(packages: str) -> str:
    """The command that installs another build: all of them write the same folder."""
    name = packages.partition("[")[0]
    return f"pip uninstall -y onnxruntime {name} && pip install '{packages}'"


#: device → (execution provider, command that installs it). TensorRT has a backend of its own: the
#: provider of ONNX Runtime computes fp32 networks in TF32 and has no option against that.
PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "pip install onnxruntime"),
    "cuda": ("CUDAExecutionProvider", _instead("onnxruntime-gpu[cuda,cudnn]")),
    "openvino": ("OpenVINOExecutionProvider", _instead("onnxruntime-openvino")),
}
#: ONNX Runtime would compute in TF32 and pick the convolutions that happen to run fastest as it
#: loads, which then differ from session to session in the last bits.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
ERRORS_ONLY = 3
#: How an error reads that is the GPU's and not the network's: too old a driver, no memory left.
_CUDA_FAILURE = re.compile("CUDA failure [^;]*")

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(int32)": "int32",
    "tensor(uint64)": "uint64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}

_sessions = Shared()


@dataclass(frozen=True, slots=True)
class OnnxRuntimeOptions(Options):
    """Options of `backend: onnxruntime`.

    Attributes:
        threads: that share one `forward`; 0 takes all cores.
        spinning: whether these threads burn their core while they wait: faster alone, slower as
            soon as anything else wants the cores.
    """

    threads: int = 1
    spinning: bool = False


class OnnxRuntimeEngine(Engine):
    """Runs an ONNX network with one execution provider, and never with another in silence.

    Devices are ``cpu``, ``cuda:0``, ``cuda:1`` … and ``openvino``. A provider that was asked for
    and is not there, or that gives up while it loads or runs, is an error. Operators a provider
    does not have run on the CPU, as ONNX Runtime has it; `report` names the providers in use.
    """

    backend = "onnxruntime"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    from_memory: ClassVar[bool] = True
    options_type = OnnxRuntimeOptions
    options: OnnxRuntimeOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            import onnxruntime as ort
        except ImportError as error:
            return BackendInfo(
                cls.backend, "", (), (), cls.formats, (), str(error), PROVIDERS["cpu"][1]
            )
        there = ort.get_available_providers()
        kinds = [kind for kind, (name, _) in PROVIDERS.items() if name in there]
        devices = tuple(device for kind in kinds for device in _devices(kind))
        dtypes = ("float32", "float16", "int8")
        return BackendInfo(cls.backend, ort.__version__, devices, dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind not in PROVIDERS or (index and not index.isdigit()):
            raise OptionError(f"{self}: no such device; there are {', '.join(PROVIDERS)}")
        self._provider, self._install = PROVIDERS[kind]
        self._provider_options: dict[str, str] = {}
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {self._install}") from error
        if self._provider not in ort.get_available_providers():
            raise EngineUnavailable(
                f"{self}: this onnxruntime {ort.__version__} has no {self._provider} "
                f"(it has {', '.join(ort.get_available_providers())}); run: {self._install}"
            )
        if kind == "cuda":
            self._init_cuda(ort, int(index or 0))

    def _init_cuda(self, ort: Any, index: int) -> None:
        gpus = len(nvidia.gpu_memory())
        if index >= gpus:
            raise EngineUnavailable(
                f"{self}: no such GPU; the driver finds {gpus}, from cuda:0 on; {nvidia.INSTALL}"
            )
        self._provider_options = CUDA_OPTIONS | {"device_id": str(index)}
        if hasattr(ort, "preload_dlls"):  # since 1.21: finds the libraries that pip has installed
            with redirect_stdout(sys.stderr):  # it prints what it does not find
                ort.preload_dlls()

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        settings = (self.device, self.options)
        self._session = _sessions.get(program, settings, lambda: self._load(program))
        outputs = tuple(map(_spec, self._session.get_outputs()))
        self._names = [spec.name for spec in outputs]
        return tuple(map(_spec, self._session.get_inputs())), outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        results = self._session.run(self._names, inputs)
        return dict(zip(self._names, results, strict=True))

    def _destroy(self) -> None:
        self._session = None

    def report(self) -> dict[str, Any]:
        providers = self._session.get_providers() if getattr(self, "_session", None) else []
        return super().report() | {"providers": providers, "threads": self.options.threads}

    def _load(self, network: Network) -> Any:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = self.options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = ERRORS_ONLY
        settings.add_session_config_entry(
            "session.intra_op.allow_spinning", str(int(self.options.spinning))
        )
        path, content = network.path, network.content
        if network.companions:
            names, contents = list(network.companions), list(network.companions.values())
            sizes = [len(part) for part in contents]
            settings.add_external_initializers_from_files_in_memory(names, contents, sizes)
        try:
            session = ort.InferenceSession(
                str(path) if content is None else content,
                settings,
                providers=[(self._provider, self._provider_options)],
                enable_fallback=0,
            )
        except Exception as error:
            if failure := _CUDA_FAILURE.search(str(error)):
                told = failure.group().strip()
                raise EngineUnavailable(f"{self}: {told}; {nvidia.INSTALL}") from error
            size = path.stat().st_size if content is None else len(content)
            raise ProgramError(
                f"{path} ({size} bytes): ONNX Runtime cannot load it as an ONNX network: "
                f"{_first_line(error)}"
            ) from error
        if session.get_providers()[0] != self._provider:
            raise EngineUnavailable(
                f"{self}: {self._provider} did not start and ONNX Runtime took "
                f"{session.get_providers()[0]} instead; a library is missing or does not fit, see "
                f"standard error. Run: {self._install}"
            )
        return session


def _devices(kind: str) -> tuple[str, ...]:
    """The devices of a provider, on this machine."""
    if kind != "cuda":
        return (kind,)
    return tuple(f"cuda:{number}" for number in range(len(nvidia.gpu_memory())))


def _spec(node: Any) -> TensorSpec:
    if node.type not in _DTYPES:
        raise ProgramError(f"tensor {node.name}: type {node.type} cannot be exchanged with numpy")
    shape = tuple(n if isinstance(n, int) else -1 for n in node.shape)
    return TensorSpec(node.name, shape, np.dtype(_DTYPES[node.type]))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

"""OpenVINO: ONNX networks and its own IR on Intel's (and other x86 and ARM) CPUs, GPUs and NPUs.

Left alone, OpenVINO computes in bf16 or fp16 wherever it expects that to be faster, and takes bf16
where fp16 is asked for and missing. Here the precision is always said and read back afterwards.

Engines of one process that load the same file with the same options share one compiled network of
several streams; each engine has a request of its own, so that they run at the same time. Threads
are not pinned to cores: pinned, two networks of one process would sit on the same core.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.options import Options
from engines.program import Network, Program, Tensors
from engines.sharing import Shared
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[openvino]'"
#: What a device needs on the machine besides the wheel.
DRIVERS = {
    "cpu": "nothing",
    "gpu": "Intel's compute runtime: the packages intel-opencl-icd and ocl-icd-libopencl1",
    "npu": "Intel's NPU driver: https://github.com/intel/linux-npu-driver/releases",
}
#: Precision → OpenVINO's name of it as a hint, and among a device's capabilities. Quantised
#: operators of an int8 network stay so; the hint is for all others.
HINTS = {
    "fp32": ("f32", "FP32"),
    "bf16": ("bf16", "BF16"),
    "fp16": ("f16", "FP16"),
    "int8": ("f32", "INT8"),
}
FRONTENDS = {"onnx": "onnx", "openvino": "ir"}

_compiled = Shared()


@dataclass(frozen=True, slots=True)
class OpenVinoOptions(Options):
    """Options of `backend: openvino`, for device ``cpu``; others have threads of their own.

    Attributes:
        threads: that share one `forward`; 0 takes all cores.
        streams: how many engines that share the network can run at the same time; 0 takes as many
            as there are cores for. OpenVINO gives at most one a core.
    """

    threads: int = 1
    streams: int = 0


class OpenVinoEngine(Engine):
    """Runs an ONNX network or an OpenVINO IR on one device of OpenVINO.

    Devices are ``cpu``, ``gpu``, ``gpu:1`` and ``npu``. OpenVINO's ``AUTO`` and ``HETERO`` are not
    offered: they do not tell which precision they run in.

    A network with free axes is given the declared shape where there is one, which OpenVINO runs
    faster.
    """

    backend = "openvino"
    formats: ClassVar[tuple[str, ...]] = ("onnx", "openvino")
    casts: ClassVar[tuple[str, ...]] = ("bf16", "fp16")
    from_memory: ClassVar[bool] = True
    options_type = OpenVinoOptions
    options: OpenVinoOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            ov = library()
        except ImportError as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        core = ov.Core()
        devices = tuple(name.lower().replace(".", ":") for name in core.available_devices)
        able = {a for device in core.available_devices for a in _capabilities(core, device)}
        names = {"FP32": "float32", "BF16": "bfloat16", "FP16": "float16", "INT8": "int8"}
        dtypes = tuple(dtype for name, dtype in names.items() if name in able)
        version = str(ov.__version__).partition("-")[0]
        return BackendInfo(cls.backend, version, devices, dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind not in DRIVERS or (index and not index.isdigit()):
            raise OptionError(f"{self}: no such device; there are {', '.join(DRIVERS)}, gpu:1 …")
        try:
            self._ov = library()
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self._core = self._ov.Core()
        self._name = self.device.upper().replace(":", ".")
        there = self._core.available_devices
        if not any(name == self._name or name.startswith(f"{self._name}.") for name in there):
            raise EngineUnavailable(
                f"{self}: OpenVINO {self._ov.__version__} finds no {self._name} on this machine "
                f"(it finds {', '.join(there)}); a {kind} needs {DRIVERS[kind]}"
            )

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        self._check_precision()
        settings = (self.device, self.precision, self.options, program.inputs)
        self._network = _compiled.get(program, settings, lambda: self._compile(program))
        self._request = self._network.create_infer_request()
        inputs = _specs(self._network.inputs, program.inputs)
        outputs = _specs(self._network.outputs, program.outputs)
        self._ports = {spec.name: number for number, spec in enumerate(inputs)}
        self._names = [spec.name for spec in outputs]
        fixed = all(-1 not in spec.shape for spec in outputs)
        self._views = self._output_views() if fixed else None  # asking anew takes 2 µs each
        return inputs, outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        request, tensor, traffic = self._request, self._ov.Tensor, self.traffic
        for name, owned in inputs.items():
            if not owned.flags.writeable:  # OpenVINO shares no such memory
                (owned,) = traffic.copied_in.copies([owned])
            request.set_input_tensor(self._ports[name], tensor(owned, shared_memory=True))
        request.infer(share_outputs=True)
        views = self._views or self._output_views()
        return dict(zip(self._names, traffic.copied_out.copies(views), strict=True))

    def _output_views(self) -> list[NDArray[Any]]:
        """The outputs in the request's memory, which the next call overwrites."""
        return [self._request.get_output_tensor(n).data for n in range(len(self._names))]

    def _destroy(self) -> None:
        self._request = self._network = self._views = None

    def report(self) -> dict[str, Any]:
        network = getattr(self, "_network", None)
        if network is None:
            return super().report()
        return super().report() | {
            "execution_devices": list(network.get_property("EXECUTION_DEVICES")),
            "operators": _operators(network),
            "threads": self.options.threads,
        }

    def _check_precision(self) -> None:
        _, capability = HINTS[self.precision]
        able = _capabilities(self._core, self._name)
        if capability not in able:
            others = [name for name, (_, word) in HINTS.items() if word in able]
            raise EngineUnavailable(
                f"{self}: precision {self.precision} is asked for, but this device computes in "
                f"{', '.join(others)} only; take one of these or another device"
            )

    def _compile(self, program: Network) -> Any:
        model = self._read(program)
        hint, _ = HINTS[self.precision]
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint}
        if self._name == "CPU":
            config |= self._threading()
        try:
            network = self._core.compile_model(model, self._name, config)
        except Exception as error:
            raise ProgramError(
                f"{program}: OpenVINO cannot compile it for {self._name}: {_told(error)}"
            ) from error
        taken = network.get_property("INFERENCE_PRECISION_HINT").to_string()
        if taken != hint:
            raise EngineUnavailable(
                f"{self}: precision {self.precision} is asked for, and OpenVINO took {taken}"
            )
        return network

    def _read(self, program: Network) -> Any:
        """The network by the reader of its format only, in the declared shape."""
        if program.format == "openvino" and program.content is None:
            _check_weights(program.path)
        try:
            if program.content is not None:
                model = self._core.read_model(program.content, *program.companions.values())
            else:
                readers = self._ov.frontend.FrontEndManager()
                reader = readers.load_by_framework(FRONTENDS[program.format])
                model = reader.convert(reader.load(str(program.path)))
            _narrow(model, program.inputs)
        except Exception as error:
            raise ProgramError(
                f"{program}: OpenVINO cannot load it as {program.format}: {_told(error)}"
            ) from error
        if not model.outputs:  # its readers take an empty file for an empty network
            raise ProgramError(f"{program}: not {program.format}: nothing in it")
        return model

    def _threading(self) -> dict[str, Any]:
        cores = len(os.sched_getaffinity(0))
        threads = self.options.threads or cores
        streams = self.options.streams or max(1, cores // threads)
        return {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads * streams,
            "ENABLE_CPU_PINNING": False,
        }


def library() -> Any:
    """OpenVINO without its conversion tool, which starts a telemetry client as it is imported.

    Raises:
        ImportError: there is none.
    """
    tool = "openvino.tools"
    blocked = "openvino" not in sys.modules and tool not in sys.modules
    if blocked:
        sys.modules[tool] = None  # type: ignore[assignment]  # how Python forbids an import
    try:
        import openvino
    finally:
        if blocked:
            del sys.modules[tool]
    return openvino


def _capabilities(core: Any, device: str) -> Sequence[str]:
    capabilities: Sequence[str] = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    return capabilities


def _specs(ports: Sequence[Any], declared: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The ports as tensors, each under its declared name where it has that among its names.

    A port without any name takes the declared one of its position.
    """
    wanted = [spec.name for spec in declared]
    specs = []
    for number, port in enumerate(ports):
        names = sorted(port.names) or wanted[number : number + 1] or [f"tensor{number}"]
        name = next((name for name in wanted if name in names), names[0])
        shape = tuple(n.get_length() if n.is_static else -1 for n in port.partial_shape)
        specs.append(TensorSpec(name, shape, np.dtype(port.element_type.to_dtype())))
    return tuple(specs)


def _narrow(model: Any, declared: Sequence[TensorSpec]) -> None:
    """Gives the inputs' free axes their declared lengths, where no other axis contradicts."""
    wanted = {spec.name: spec for spec in declared}
    found = _specs(model.inputs, declared)
    agreed = [
        (port, spec, wanted[spec.name])
        for port, spec in zip(model.inputs, found, strict=True)
        if spec.name in wanted and spec.agrees(wanted[spec.name])
    ]
    if any(wish.narrowed(spec).shape != spec.shape for _, spec, wish in agreed):
        model.reshape({port: list(wish.narrowed(spec).shape) for port, spec, wish in agreed})


def _operators(network: Any) -> dict[str, int]:
    """How many operators of the network really run in each type."""
    types = (op.get_rt_info()["runtimePrecision"] for op in network.get_runtime_model().get_ops())
    return dict(Counter(kind.astype(str) for kind in types))


def _check_weights(path: Path) -> None:
    """`ProgramError` where an IR's weights are not as long as its description says.

    OpenVINO notices weights that are too short only.
    """
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ProgramError(f"{path}: expected its weights in {weights}: no such file")
    try:
        constants = [data.attrib for data in ElementTree.parse(path).iter("data")]
        ends = [int(c["offset"]) + int(c["size"]) for c in constants if "offset" in c]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise ProgramError(f"{path}: not an OpenVINO IR: {error}") from error
    expected, found = max(ends, default=0), weights.stat().st_size
    if found != expected:
        raise ProgramError(f"{weights}: expected {expected} bytes, found {found}")


def _told(error: Exception) -> str:
    """The last line of OpenVINO's message, which says what; those before say where."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__

"""NVIDIA TensorRT by its own runtime: ONNX networks, built for the GPU here, and finished plans.

Needs TensorRT 10.8 or later and cuda-python, which brings CUDA's memory and streams to Python and
nothing else. Every network is strongly typed: TensorRT computes in the types that stand in the
network and chooses none by itself, and TF32 is off. For fp16 an fp32 network is rewritten first
(`engines.convert.lowering`).

Building times the GPU's kernels against each other, so it takes long, and two builds of one network
may differ in the last bits. `sightline models convert MODEL --to tensorrt` does it once and keeps
the plan, which fits this GPU and this TensorRT only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines import nvidia
from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, ForwardError, OptionError, ProgramError
from engines.options import Options, whole
from engines.program import Network, Program, Tensors
from engines.sharing import Shared
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[tensorrt]'"
OLDEST = 10

_loaded = Shared()


@dataclass(frozen=True, slots=True)
class TensorRtOptions(Options):
    """Options of `backend: tensorrt`.

    Attributes:
        max_batch: largest batch of a network that is built here with a free first axis.
        workspace_mb: GPU memory its kernels may use for themselves, in MiB.
    """

    max_batch: int = whole(8, least=1)
    workspace_mb: int = whole(1024, least=1)


@dataclass(frozen=True)
class _Loaded:
    """A network on the GPU, shared, and what must live as long as it does."""

    engine: Any
    runtime: Any
    log: Any


class TensorRtEngine(Engine):
    """Runs a network on one NVIDIA GPU, ``cuda:0``, ``cuda:1`` …

    Engines of one process share the weights; each has a context, a stream and buffers of its own.
    Axes other than the first must be declared where the network leaves them free, and outputs may
    depend on the inputs' shapes, not on their values.
    """

    backend = "tensorrt"
    formats: ClassVar[tuple[str, ...]] = ("onnx", "tensorrt")
    casts: ClassVar[tuple[str, ...]] = ("fp16",)
    free_axes = "batch"
    options_type = TensorRtOptions
    options: TensorRtOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        version, library = _library()
        gpus, driver = _gpus()
        missing = "; ".join(filter(None, (library, driver)))
        return BackendInfo(
            cls.backend,
            version,
            tuple(f"cuda:{number}" for number in range(gpus)),
            () if missing else ("float32", "float16", "int8"),
            cls.formats,
            (),
            missing,
            INSTALL if missing else "",
        )

    def _init(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind != "cuda" or (index and not index.isdigit()):
            raise OptionError(f"{self}: no such device; there are cuda:0, cuda:1 …")
        _, library = _library()
        gpus, driver = _gpus()
        if not driver and int(index or 0) >= gpus:
            driver = f"no GPU {self.device}: CUDA finds {gpus}, from cuda:0 on"
        if library or driver:
            lacking = "; ".join(filter(None, (library, driver)))
            raise EngineUnavailable(f"{self}: {lacking}; run: {INSTALL}")
        import tensorrt

        self._trt = tensorrt
        self._cuda = _Cuda(int(index or 0))
        self._buffers: dict[str, tuple[int, int]] = {}
        self._stream = 0

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        self._cuda.use()
        settings = (self.device, self.precision, self.options, program.inputs)
        self._network = _loaded.get(program, settings, lambda: self._load(program))
        self._context = self._network.engine.create_execution_context()
        if self._context is None:
            raise EngineUnavailable(f"{self}: no context: {self._network.log.last}")
        self._stream = int(self._cuda.call("cudaStreamCreate"))
        specs = list(self._specs_of(self._network.engine))
        inputs = tuple(spec for spec, is_input in specs if is_input)
        self._results_of = tuple(spec for spec, is_input in specs if not is_input)
        return inputs, self._results_of

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        self._cuda.use()
        for name, array in inputs.items():
            if not self._context.set_input_shape(name, array.shape):
                raise ForwardError(f"{self}: {name}{list(array.shape)}: {self._network.log.last}")
            self._cuda.upload(self._address(name, array.nbytes), array, self._stream)
        outputs = {spec.name: self._room(spec) for spec in self._results_of}
        if not self._context.execute_async_v3(self._stream):
            raise ForwardError(f"{self}: {self._network.log.last}")
        for name, array in outputs.items():
            self._cuda.download(array, self._buffers[name][0], self._stream)
        self._cuda.call("cudaStreamSynchronize", self._stream)
        return outputs

    def _destroy(self) -> None:
        self._context = self._network = None
        with suppress(EngineUnavailable):  # the device may be gone
            for address, _ in getattr(self, "_buffers", {}).values():
                self._cuda.call("cudaFree", address)
            if getattr(self, "_stream", 0):
                self._cuda.call("cudaStreamDestroy", self._stream)
        self._buffers, self._stream = {}, 0

    def build(self, program: Network) -> bytes:
        """The plan of an ONNX network, for this engine's GPU, precision and options."""
        self.precision = self._agreed_precision(program)
        trt, log = self._trt, _logger(self._trt)
        builder = trt.Builder(log)
        # TensorRT 11 knows no other networks and ignores the flag.
        typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(typed)
        parser = trt.OnnxParser(network, log)
        if not self._parse(parser, program):
            errors = [parser.get_error(number).desc() for number in range(parser.num_errors)]
            raise ProgramError(
                f"{program}: TensorRT cannot read it as an ONNX network: "
                f"{'; '.join(errors) or log.last}"
            )
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        config.set_memory_pool_limit(
            trt.MemoryPoolType.WORKSPACE, self.options.workspace_mb * 1024 * 1024
        )
        config.add_optimization_profile(self._profile(builder, network, program))
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise ProgramError(f"{program}: TensorRT cannot build it: {log.last}")
        return bytes(plan)

    def _parse(self, parser: Any, program: Network) -> bool:
        if self.precision == (program.precision or "fp32"):
            return bool(parser.parse_from_file(str(program.path)))
        from engines.convert import graph, lowering

        model = lowering.to_fp16(graph.load(program.path))
        return bool(parser.parse(model.SerializeToString()))

    def _profile(self, builder: Any, network: Any, program: Network) -> Any:
        """Shapes the network is built for: as declared, and any batch up to the largest."""
        declared = {spec.name: spec.shape for spec in program.inputs}
        profile = builder.create_optimization_profile()
        for number in range(network.num_inputs):
            tensor = network.get_input(number)
            found = tuple(tensor.shape)
            wanted = declared.get(tensor.name, found)
            shape = [want if n < 0 else n for n, want in zip(found, wanted, strict=True)]
            if any(n < 0 for n in shape[1:]):
                raise ProgramError(
                    f"{program}: input {tensor.name}{shape}: TensorRT takes a free batch only; "
                    "declare the other lengths"
                )
            batches = (1, self.options.max_batch)
            least, most = ([n if n >= 0 else batch for n in shape] for batch in batches)
            profile.set_shape(tensor.name, least, most, most)
        return profile

    def _load(self, program: Network) -> _Loaded:
        plan = program.path.read_bytes() if program.format == "tensorrt" else self.build(program)
        log = _logger(self._trt)
        runtime = self._trt.Runtime(log)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ProgramError(
                f"{program} ({len(plan)} bytes): not a plan for TensorRT {self._trt.__version__} "
                f"and this GPU: {log.last}"
            )
        return _Loaded(engine, runtime, log)

    def _specs_of(self, engine: Any) -> Iterator[tuple[TensorSpec, bool]]:
        """The tensors of a network, and whether each is an input."""
        for number in range(engine.num_io_tensors):
            name = engine.get_tensor_name(number)
            try:
                dtype = np.dtype(self._trt.nptype(engine.get_tensor_dtype(name)))
            except TypeError as error:
                raise ProgramError(
                    f"tensor {name}: type {engine.get_tensor_dtype(name)} cannot be exchanged "
                    "with numpy"
                ) from error
            is_input = engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            yield TensorSpec(name, tuple(engine.get_tensor_shape(name)), dtype), is_input

    def _room(self, spec: TensorSpec) -> NDArray[Any]:
        """An array for an output whose shape follows from the inputs, and a buffer as large."""
        shape = tuple(self._context.get_tensor_shape(spec.name))
        if any(n < 0 for n in shape):
            raise ProgramError(
                f"{self}: output {spec}: its shape depends on the inputs' values, "
                "which this backend does not run"
            )
        array = np.empty(shape, spec.dtype)
        self._address(spec.name, array.nbytes)
        return array

    def _address(self, name: str, size: int) -> int:
        """The tensor's buffer on the GPU, made larger where it must be."""
        address, room = self._buffers.get(name, (0, 0))
        if size > room or not address:
            if address:
                self._cuda.call("cudaFree", address)
                del self._buffers[name]
            address = int(self._cuda.call("cudaMalloc", max(size, 1)))
            self._buffers[name] = (address, max(size, 1))
            self._context.set_tensor_address(name, address)
        return address


class _Cuda:
    """CUDA's runtime calls on one device; an error is an `EngineUnavailable` that says which."""

    def __init__(self, device: int = 0) -> None:
        from cuda.bindings import runtime

        self._device = device
        self._runtime = runtime

    def count(self) -> int:
        """How many GPUs there are."""
        return int(self.call("cudaGetDeviceCount"))

    def use(self) -> None:
        """Makes the device that of the calling thread."""
        self.call("cudaSetDevice", self._device)

    def upload(self, address: int, array: NDArray[Any], stream: int) -> None:
        """Copies to the GPU; the array is free again when the stream has been waited for."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, stream)

    def download(self, array: NDArray[Any], address: int, stream: int) -> None:
        """Copies from the GPU; the array is filled when the stream has been waited for."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, stream)

    def call(self, name: str, *arguments: Any) -> Any:
        """One function of the runtime; gives its result, if it has one."""
        try:
            error, *result = getattr(self._runtime, name)(*arguments)
        except RuntimeError as missing:  # the binding finds no CUDA library behind it
            raise EngineUnavailable(f"{name}: {missing}") from missing
        if error != self._runtime.cudaError_t.cudaSuccess:
            _, told = self._runtime.cudaGetErrorString(error)
            raise EngineUnavailable(f"{name}: {told.decode()} (CUDA error {int(error)})")
        return result[0] if result else None


def _library() -> tuple[str, str]:
    """TensorRT's version, and what is wrong with it and how to mend it."""
    try:
        import tensorrt
    except ImportError as error:
        return "", str(error)
    version = str(tensorrt.__version__)
    if int(version.partition(".")[0]) < OLDEST:
        return version, f"expected TensorRT {OLDEST} or later, found {version}"
    return version, ""


def _gpus() -> tuple[int, str]:
    """How many GPUs CUDA finds, and what keeps it from finding one and how to mend it."""
    try:
        return _Cuda().count(), ""
    except ImportError as error:
        return 0, str(error)
    except EngineUnavailable as error:
        return 0, f"no GPU: {error}; {nvidia.INSTALL}"


def _logger(trt: Any) -> Any:
    """A log that keeps TensorRT's last error for our messages and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]  # TensorRT is not typed
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = "TensorRT says nothing more"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.last = message

    return Log()

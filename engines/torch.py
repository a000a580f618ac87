"""PyTorch: TorchScript archives (.pt) and, where they are trusted, torch.export programs (.pt2).

A TorchScript archive holds code in a small language of its own and tensors: nothing in it can reach
outside of torch. A torch.export archive may hold Python pickles and expressions that run whatever
they say as they are read, so it is loaded only with the option ``trusted``. Other files that torch
writes (``torch.save``) are pickles through and through and are never loaded.

Engines of one process that load the same file for the same device and precision share one module.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.options import Options
from engines.program import Network, Program, Tensors
from engines.sharing import Shared
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[torch]'"
_TYPES = {"bf16": "bfloat16", "fp16": "float16"}
#: How an error reads that misses one of torchvision's operators.
_VISION = "torchvision::"

_modules = Shared()


@dataclass(frozen=True, slots=True)
class TorchOptions(Options):
    """Options of `backend: torch`.

    Attributes:
        threads: that share one `forward` on the CPU; 0 takes all cores. torch counts them for each
            thread that calls it, so engines of different workers may differ.
        trusted: whether torch.export archives are loaded, whose author can run any code here.
    """

    threads: int = 1
    trusted: bool = False


class TorchEngine(Engine):
    """Runs a module that torch has saved, on ``cpu`` or ``cuda:0``, ``cuda:1`` …

    torch tells neither names nor shapes, so both must be declared: inputs in the order the module
    takes them, alone or as one list; outputs under the module's own names where it gives a
    dictionary, else in the order it gives them, lists and dictionaries opened up.

    In bf16 and fp16 all weights and inputs are cast; outputs come back as declared. On a GPU TF32
    is switched off and cuDNN held to deterministic algorithms, for all of the process.
    """

    backend = "torch"
    formats: ClassVar[tuple[str, ...]] = ("torchscript", "torch-export")
    casts: ClassVar[tuple[str, ...]] = ("bf16", "fp16")
    # oneDNN and ONNX Runtime add up in different orders: 1.4e-4 on pictures through YOLOX-nano.
    tolerance: ClassVar[float] = 5e-4
    options_type = TorchOptions
    options: TorchOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            import torch
        except ImportError as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = ("cpu", *(f"cuda:{number}" for number in range(gpus)))
        dtypes = ("float32", "bfloat16", "float16", "int8")
        return BackendInfo(cls.backend, torch.__version__, devices, dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdigit())):
            raise OptionError(f"{self}: no such device; there are cpu, cuda:0, cuda:1 …")
        try:
            import torch
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error
        self._torch = torch
        if kind == "cuda":
            self._init_cuda(int(index or 0))

    def _init_cuda(self, index: int) -> None:
        torch = self._torch
        if torch.version.cuda is None:
            raise EngineUnavailable(
                f"{self}: this torch {torch.__version__} is built without CUDA; "
                "run: pip install --force-reinstall torch"
            )
        if not torch.cuda.is_available():
            raise EngineUnavailable(
                f"{self}: torch {torch.__version__} for CUDA {torch.version.cuda} finds no GPU: "
                "the NVIDIA driver is missing or too old; see: nvidia-smi"
            )
        if index >= torch.cuda.device_count():
            raise EngineUnavailable(
                f"{self}: no such GPU; torch finds {torch.cuda.device_count()}, from cuda:0 on"
            )
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        if not program.inputs or not program.outputs:
            raise ProgramError(f"{program}: torch needs the inputs and outputs declared")
        if program.format == "torch-export" and not self.options.trusted:
            raise ProgramError(
                f"{program}: a torch.export archive can run any code as it is read; if you trust "
                f"who made it, give engine {self.id!r} the option trusted: true"
            )
        name = _TYPES.get(self.precision)
        self._type = getattr(self._torch, name) if name else None
        self._threads = self.options.threads or len(os.sched_getaffinity(0))
        settings = (self.device, self.precision)
        self._module = _modules.get(program, settings, lambda: self._load(program))
        self._takes_list = _takes_list(self._module)
        self._order = [spec.name for spec in program.inputs]
        self._declared = program.outputs
        return program.inputs, program.outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        torch = self._torch
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        # The optimiser watches the first runs and then builds others: on a GPU by fusing operators,
        # which takes seconds in the midst of a stream and changes the last bits.
        with torch.inference_mode(), torch.jit.optimized_execution(False):
            fed = [self._tensor(inputs[name]) for name in self._order]
            given = self._module(fed) if self._takes_list else self._module(*fed)
            return self._arrays(given)

    def _destroy(self) -> None:
        self._module = None
        if self.device != "cpu" and hasattr(self, "_torch"):
            with suppress(RuntimeError):  # the device may be gone
                self._torch.cuda.empty_cache()

    def report(self) -> dict[str, Any]:
        return super().report() | {"threads": self.options.threads}

    def _load(self, program: Network) -> Any:
        try:
            module = load(program, self.device)
        except Exception as error:
            size = program.path.stat().st_size
            raise ProgramError(
                f"{program} ({size} bytes): torch cannot load it as {program.format}: "
                f"{_told(error)}"
            ) from error
        return module if self._type is None else self._lowered(module, program)

    def _lowered(self, module: Any, program: Network) -> Any:
        """The module in bf16 or fp16; constants inside its code would stay as they are."""
        left = sum(t.is_floating_point() and t.dim() > 0 for t in _constants(module))
        if left:
            raise ProgramError(
                f"{self}: precision {self.precision} is asked for, but {program} has {left} "
                "constants in its code that cannot be lowered; run it in fp32"
            )
        return module.to(self._type)

    def _tensor(self, array: NDArray[Any]) -> Any:
        if not array.flags.writeable:  # torch takes no such memory
            (array,) = self.traffic.copied_in.copies([array])
        tensor = self._torch.from_numpy(array).to(self.device)
        lower = self._type is not None and tensor.is_floating_point()
        return tensor.to(self._type) if lower else tensor

    def _arrays(self, given: Any) -> Mapping[str, NDArray[Any]]:
        """The declared outputs, in memory of their own: torch may give its inputs or constants."""
        found = list(_leaves(given))
        named = dict(found)
        tensors = [named.get(spec.name) for spec in self._declared]
        if any(tensor is None for tensor in tensors):
            tensors = [tensor for _, tensor in found]
        if len(tensors) != len(self._declared):
            raise ProgramError(
                f"{self}: expected outputs {', '.join(map(str, self._declared))}, "
                f"found {len(tensors)} tensors"
            )
        return {
            spec.name: self._array(spec, tensor)
            for spec, tensor in zip(self._declared, tensors, strict=True)
        }

    def _array(self, spec: TensorSpec, tensor: Any) -> NDArray[Any]:
        if self._type is not None and tensor.dtype == self._type:
            tensor = tensor.float()
        (array,) = self.traffic.copied_out.copies([tensor.cpu().numpy()])
        if array.dtype != spec.dtype or not spec.accepts(array.shape):
            raise ProgramError(
                f"{self}: expected output {spec}, found {array.dtype}{list(array.shape)}"
            )
        return array


def load(program: Network, device: str) -> Any:
    """The module of a file, on a device and ready to infer. Raises whatever torch does."""
    import torch

    if program.format == "torch-export":
        exported = torch.export.load(str(program.path))
        module = exported.module()
        module.sightline_constants = tuple(exported.constants.values())
        return module.to(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript, and its int8, deprecated
        try:
            return torch.jit.load(str(program.path), map_location=device).eval()
        except RuntimeError as error:
            if _VISION not in str(error):
                raise
        from engines import torch_operators

        torch_operators.register()
        return torch.jit.load(str(program.path), map_location=device).eval()


def _takes_list(module: Any) -> bool:
    """Whether a TorchScript module wants its inputs as one list."""
    schema = getattr(getattr(module, "forward", None), "schema", None)
    return schema is not None and schema.arguments[1].type.kind() == "ListType"


def _constants(module: Any) -> Iterator[Any]:
    """The tensors that stand in a module's code, where `Module.to` does not reach."""
    yield from getattr(module, "sightline_constants", ())
    graph = getattr(module, "inlined_graph", None)
    for node in graph.findAllNodes("prim::Constant") if graph is not None else ():
        if node.hasAttribute("value") and node.kindOf("value") == "t":
            yield node.t("value")


def _leaves(given: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors in nested lists, tuples and dictionaries, in order, with their key if any."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield from _leaves(value, str(key))
    elif isinstance(given, (list, tuple)):
        for value in given:
            yield from _leaves(value)
    else:
        yield name, given


def _told(error: Exception) -> str:
    """The first line of torch's message, where it says what."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

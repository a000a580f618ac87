"""LiteRT (TensorFlow Lite): ``.tflite`` networks on the CPU, through XNNPACK.

The numbers are computed as the file has them: float32 stays float32. XNNPACK computes a float32
network in float16, where the processor can, if the file's metadata say that its makers reckoned
with it; that mark is taken off here, since nothing may lower the precision in silence. A file
whose weights are float16 is computed in float32, as LiteRT does on a CPU: `precision` then is
``fp32``, and `report` names the weights' type.

An interpreter belongs to one thread at a time, so each engine has its own; the bytes of the file
are shared between engines. A damaged file can kill the process: what this process has neither seen
nor written is run once in a short-lived process first, which takes half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.litert_network import Content, interpreter
from engines.options import Options, whole
from engines.program import Network, Program, Tensors
from engines.sharing import Shared
from engines.tensor import TensorSpec
from engines.traffic import size_of

INSTALL = "pip install 'sightline[litert]'"


@dataclass(frozen=True, slots=True)
class LiteRtOptions(Options):
    """Options of `backend: litert`.

    Attributes:
        threads: that share one `forward`.
    """

    threads: int = whole(1, least=1)


_contents = Shared()


class LiteRtEngine(Engine):
    """Runs a TensorFlow Lite network in an interpreter of its own.

    An axis that the file leaves open takes any length; a new length makes the interpreter lay out
    its memory again, so a stream of changing shapes is slow.
    """

    backend = "litert"
    formats: ClassVar[tuple[str, ...]] = ("tflite",)
    # XNNPACK and ONNX Runtime round differently: 3e-4 on letterboxed pictures through YOLOX-nano.
    tolerance: ClassVar[float] = 5e-4
    from_memory = True
    options_type = LiteRtOptions
    options: LiteRtOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            import ai_edge_litert
            from ai_edge_litert.interpreter import Interpreter  # noqa: F401 - the part that runs
        except (ImportError, OSError) as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        return BackendInfo(
            cls.backend,
            ai_edge_litert.__version__,
            ("cpu",),
            ("float32", "int8"),
            cls.formats,
            (),
            "",
            "",
        )

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu")
        try:
            from ai_edge_litert.interpreter import Interpreter  # noqa: F401 - as in `describe`
        except (ImportError, OSError) as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        self._content: Content | None = _contents.get(program, (), lambda: Content(program))
        try:
            self._interpreter = interpreter(self._content.bytes, self.options.threads)
            inputs, outputs = _named_tensors(self._interpreter, program)
            tensors = self._interpreter.get_tensor_details()
        except Exception as error:
            raise ProgramError(
                f"{program} ({len(self._content.bytes)} bytes): LiteRT cannot load it: {error}"
            ) from error
        self._inputs = {name: details["index"] for name, details in inputs.items()}
        self._outputs = {name: details["index"] for name, details in outputs.items()}
        self._shapes = {name: tuple(details["shape"]) for name, details in inputs.items()}
        self._settle_precision(program, tensors)
        return _specs(inputs), _specs(outputs)

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        interpreter, traffic = self._interpreter, self.traffic
        if any(array.shape != self._shapes[name] for name, array in inputs.items()):
            self._resize(inputs)
        started_ns = perf_counter_ns()
        for name, index in self._inputs.items():
            interpreter.set_tensor(index, inputs[name])
        traffic.copied_in.add(size_of(inputs.values()), started_ns)
        interpreter.invoke()
        started_ns = perf_counter_ns()
        outputs = {name: interpreter.get_tensor(index) for name, index in self._outputs.items()}
        traffic.copied_out.add(size_of(outputs.values()), started_ns)
        return outputs

    def _destroy(self) -> None:
        self._interpreter = self._content = None

    def report(self) -> dict[str, Any]:
        found = super().report() | {"threads": self.options.threads}
        return found | ({"weights": self._weights} if hasattr(self, "_weights") else {})

    def _resize(self, inputs: Tensors) -> None:
        for name, array in inputs.items():
            self._interpreter.resize_tensor_input(self._inputs[name], array.shape)
        self._shapes = {}  # unknown, should the next line fail
        self._interpreter.allocate_tensors()
        self._shapes = {name: array.shape for name, array in inputs.items()}

    def _agreed_precision(self, program: Network) -> str:
        """What is asked for; the file says what it computes in, once it is loaded."""
        return self.precision

    def _settle_precision(self, program: Network, tensors: list[dict[str, Any]]) -> None:
        dtypes = {np.dtype(tensor["dtype"]).name for tensor in tensors}
        quantised = any(tensor["quantization_parameters"]["scales"].size for tensor in tensors)
        computed = "int8" if quantised else "fp32"
        self._weights = "int8" if quantised else "fp16" if "float16" in dtypes else "fp32"
        if self.precision not in ("", computed):
            raise ProgramError(
                f"{self}: precision {self.precision} is asked for, but {program} has weights in "
                f"{self._weights} and LiteRT computes it in {computed}"
            )
        self.precision = computed


Details = dict[str, dict[str, Any]]


def _named_tensors(interpreter: Any, network: Network) -> tuple[Details, Details]:
    """Inputs and outputs by their names in the file's signature, in the file's order.

    Files without a signature have the tensors' own names. The declared names are given to tensors
    by position where none of them is known.
    """
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        names = {d["index"]: name for name, d in runner.get_input_details().items()}
        names |= {d["index"]: name for name, d in runner.get_output_details().items()}
    else:
        names = {}
    return _named(network.inputs, inputs, names), _named(network.outputs, outputs, names)


def _named(
    declared: tuple[TensorSpec, ...], tensors: list[dict[str, Any]], names: dict[int, str]
) -> Details:
    own = [names.get(details["index"], details["name"]) for details in tensors]
    wanted = [spec.name for spec in declared]
    if len(wanted) == len(own) and not set(wanted) & set(own):
        own = wanted
    return dict(zip(own, tensors, strict=True))


def _specs(tensors: Details) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, details) for name, details in tensors.items())


def _spec(name: str, details: dict[str, Any]) -> TensorSpec:
    shape = tuple(map(int, details["shape_signature"])) or tuple(map(int, details["shape"]))
    scales = details["quantization_parameters"]["scales"]
    zeros = details["quantization_parameters"]["zero_points"]
    if scales.size != 1:  # a quantised input or output has one scale for all its numbers
        return TensorSpec(name, shape, np.dtype(details["dtype"]))
    return TensorSpec(name, shape, np.dtype(details["dtype"]), "", float(scales[0]), int(zeros[0]))

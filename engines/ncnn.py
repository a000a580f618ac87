"""ncnn: Tencent's runtime for phones and small boards; networks as ``.param`` beside ``.bin``.

A damaged ncnn network kills the process. What the engine has not yet seen is therefore loaded and
run once in a short-lived process: a quarter of a second, once per process for each network and
shape of its inputs.

The Python binding keeps the interpreter's lock while it computes: engines in two threads give the
right results but take turns. More cores are used by `threads`, or by more processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engines import ncnn_network
from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError, ProgramError
from engines.ncnn_network import Trial
from engines.options import Options, whole
from engines.program import Network, Program, Tensors
from engines.sharing import Shared, digest
from engines.tensor import TensorSpec

INSTALL = "pip install 'sightline[ncnn]'"

_nets = Shared()
#: What has been tried in another process, and when the files had which content.
_survived: set[tuple[str, int, Trial]] = set()

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NcnnOptions(Options):
    """Options of `backend: ncnn`.

    Attributes:
        threads: that share one `forward`.
    """

    threads: int = whole(1, least=1)


class NcnnEngine(Engine):
    """Runs an ncnn network on the CPU.

    ncnn's tensors have no batch axis: the first axis of every declared tensor is the batch, and its
    images run one after another. ncnn does not tell shapes, so all tensors must be declared; names
    that are not in the file are taken by position.

    Lowers fp32 to bf16. Half precision is left to networks stored in it: ncnn's x86 code would
    round the weights of fully connected layers only, which is not what `precision: fp16` says.
    """

    backend = "ncnn"
    formats: ClassVar[tuple[str, ...]] = ("ncnn",)
    casts: ClassVar[tuple[str, ...]] = ("bf16",)
    free_axes: ClassVar[Literal["none", "batch", "any"]] = "batch"
    # Both its Winograd convolutions and ONNX Runtime's round differently: 2.1e-4 on YOLOX-nano.
    tolerance: ClassVar[float] = 5e-4
    options_type = NcnnOptions
    options: NcnnOptions

    @classmethod
    def describe(cls) -> BackendInfo:
        try:
            found = version("ncnn")
        except PackageNotFoundError as error:
            return BackendInfo(cls.backend, "", (), (), cls.formats, (), str(error), INSTALL)
        dtypes = ("float32", "bfloat16", "float16", "int8")
        return BackendInfo(cls.backend, found, ("cpu",), dtypes, cls.formats, (), "", "")

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu")
        try:
            import ncnn  # noqa: F401 - a missing library shows here, not in the first `prepare`
        except ImportError as error:
            raise EngineUnavailable(f"{self}: {error}; run: {INSTALL}") from error

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Network)
        if not program.inputs or not program.outputs:
            raise ProgramError(f"{program}: ncnn needs the inputs and outputs declared")
        for spec in (*program.inputs, *program.outputs):
            if spec.dtype != np.float32 or not spec.shape:
                raise ProgramError(f"{program}: ncnn has batches of float32, declared is {spec}")
        weights = ncnn_network.weights_path(program.path)
        if not weights.is_file():
            raise ProgramError(f"{weights}: no such file; the weights lie beside {program}")
        self._program = program
        blobs = ncnn_network.read_blobs(program.path)
        self._feeds = _blob_of(program, program.inputs, blobs.inputs)
        self._reads = _blob_of(program, program.outputs, blobs.outputs)
        self._content = digest(program), weights.stat().st_mtime_ns
        shapes = [spec.shape[1:] for spec in program.inputs]
        self._shapes = None if any(-1 in shape for shape in shapes) else shapes
        self._try_elsewhere(self._shapes or [])
        self._net = _nets.get(
            program,
            (self.options, self.precision),
            lambda: ncnn_network.load(program.path, self.precision, self.options.threads),
        )
        return program.inputs, program.outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        arrays = [inputs[name] for name in self._feeds]
        shapes = [array.shape[1:] for array in arrays]
        if shapes != self._shapes:
            self._try_elsewhere(shapes)
            self._shapes = shapes
        rows = [self._forward_one(images) for images in zip(*arrays, strict=True)]
        return {
            spec.name: self._stacked([row[n] for row in rows], spec)
            for n, spec in enumerate(self._program.outputs)
        }

    def _destroy(self) -> None:
        self._net = None

    def report(self) -> dict[str, Any]:
        return super().report() | {"threads": self.options.threads}

    def _forward_one(self, images: tuple[NDArray[Any], ...]) -> list[NDArray[Any]]:
        return ncnn_network.run(
            self._net,
            zip(self._feeds.values(), images, strict=True),
            self._reads.values(),
            self.traffic,
        )

    def _stacked(self, images: list[NDArray[Any]], spec: TensorSpec) -> NDArray[Any]:
        """One output of the whole batch, with the axes of length one that ncnn leaves out."""
        batch = images[0][None] if len(images) == 1 else np.stack(images)
        if spec.accepts(batch.shape):
            return batch
        shape = _with_ones(batch.shape, spec.shape)
        if not spec.accepts(shape):
            raise ProgramError(
                f"{self._program}: expected output {spec}, found {list(batch.shape)}"
            )
        return batch.reshape(shape)

    def _try_elsewhere(self, shapes: list[Shape]) -> None:
        """Has another process load the network, and run it where shapes are given."""
        fed = tuple(zip(self._feeds.values(), shapes, strict=True)) if shapes else ()
        path = str(self._program.path.resolve())
        trial = Trial(path, self.precision, fed, tuple(self._reads.values()))
        if (*self._content, trial) in _survived:
            return
        trouble = ncnn_network.survives(trial)
        if trouble:
            raise ProgramError(f"{self._program}: {trouble}")
        _survived.add((*self._content, trial))


def _blob_of(
    program: Network, specs: tuple[TensorSpec, ...], blobs: tuple[str, ...]
) -> dict[str, str]:
    """The name in the file of every declared tensor: the same, or by position where none is."""
    if all(spec.name in blobs for spec in specs):
        return {spec.name: spec.name for spec in specs}
    if any(spec.name in blobs for spec in specs) or len(specs) != len(blobs):
        raise ProgramError(
            f"{program}: expected {', '.join(map(str, specs))}, found {', '.join(blobs)}"
        )
    return {spec.name: blob for spec, blob in zip(specs, blobs, strict=True)}


def _with_ones(found: Shape, declared: Shape) -> Shape:
    """The lengths found, with those of length one placed as declared."""
    lengths = iter([n for n in found[1:] if n != 1])
    return (found[0], *(1 if want == 1 else next(lengths, 1) for want in declared[1:]))

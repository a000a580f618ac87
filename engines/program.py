"""What an engine runs: a network from a file, or a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from engines.answer import KnownAnswer
from engines.tensor import TensorSpec

#: What a program may compute in: IEEE 754 single and half, bfloat16, 8-bit integers.
PRECISIONS = ("fp32", "bf16", "fp16", "int8")

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network.

    Attributes:
        path: of its file; further files of the same network lie beside it. Only a name for
            messages where `content` is given.
        format: such as ``onnx``.
        inputs: declared inputs; empty to take them from the file.
        outputs: declared outputs; empty to take them from the file.
        sha256: of the file, where its owner has checked it; None makes the engine compute it.
        precision: of the numbers in the file, one of `PRECISIONS`; empty where nobody said.
        target: the device it was compiled for, as `Options.target` has it; empty where any device
            may run it.
        content: the file itself, where it may not lie on a disk; None to read `path`.
        companions: where `content` is given, the network's further files: content by the path
            from the folder of `path`.
        answer: what an engine that runs it must give; None where nobody said.
    """

    path: Path
    format: str
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    sha256: str | None = None
    precision: str = ""
    target: str = ""
    content: bytes | None = field(default=None, repr=False)
    companions: Mapping[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    answer: KnownAnswer | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of tensors: one the engine has built in, or one that is given here.

    Attributes:
        name: such as ``hog-people``.
        parameters: by name; whoever wrote the kernel says which exist.
        inputs: tensors it takes; empty where the engine has it built in.
        outputs: tensors it gives; empty where the engine has it built in.
        function: the kernel in numpy, for the engine ``host``; gives every output, in arrays that
            are not used again. None where there is none.
        onnx: makes the kernel as an ONNX network of the same tensors, for every engine that runs
            ONNX. None where there is none.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    function: Callable[[Tensors], Tensors] | None = field(default=None, repr=False)
    onnx: Callable[[], bytes] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"kernel {self.name}"


Program = Network | Kernel

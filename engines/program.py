"""What an engine runs: a network from a file, or a kernel it has by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network in a file.

    Attributes:
        path: of the file; further files of the same network lie beside it.
        format: such as ``onnx``.
        inputs: declared inputs; empty to take them from the file.
        outputs: declared outputs; empty to take them from the file.
        sha256: of the file, where its owner has checked it; None makes the engine compute it.
        precision: of the numbers in the file; empty where nobody said.
    """

    path: Path
    format: str
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    sha256: str | None = None
    precision: str = ""

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function the engine has built in.

    Attributes:
        name: such as ``hog-people``.
        parameters: by name; the engine says which exist.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"kernel {self.name}"


Program = Network | Kernel

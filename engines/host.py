"""The host: kernels in numpy and OpenCV, as whoever describes them wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.base import BackendInfo, Engine
from engines.errors import ForwardError, OptionError, ProgramError
from engines.program import Kernel, Program, Tensors
from engines.tensor import TensorSpec


class HostEngine(Engine):
    """Calls a kernel's own function in the caller's thread; there is nothing between the two.

    It is what the other engines are compared with, and what a failover list can end with.
    """

    backend = "host"
    tolerance: ClassVar[float] = 0.0

    @classmethod
    def describe(cls) -> BackendInfo:
        dtypes = ("float32", "float64", "uint8", "int32")
        return BackendInfo(cls.backend, np.__version__, ("cpu",), dtypes, (), (), "", "")

    @classmethod
    def can_run(cls, program: Program) -> bool:
        return isinstance(program, Kernel) and program.function is not None

    def _init(self) -> None:
        if self.device != "cpu":
            raise OptionError(f"{self}: no such device; there is cpu")

    def _prepare_kernel(
        self, kernel: Kernel
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        return self._prepare(kernel)

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        assert isinstance(program, Kernel)  # `can_run` has seen it
        assert program.function is not None
        if self.precision not in ("", "fp32"):
            raise ProgramError(
                f"{self}: precision {self.precision} is asked for, but {program} computes in fp32"
            )
        self.precision = "fp32"
        self._function = program.function
        self._promised = program.outputs
        return program.inputs, program.outputs

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        outputs = self._function(inputs)
        for spec in self._promised:
            if spec.name not in outputs:
                raise ForwardError(f"{self}: the kernel gave no {spec}, only {list(outputs)}")
            spec.validate(outputs[spec.name])
        return outputs

    def _abilities(self) -> str:
        return "kernels that have a function of their own"

"""ONNX Runtime with faults to order: real ones, in this process or in a child."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineUnavailable
from engines.onnxruntime import OnnxRuntimeEngine, OnnxRuntimeOptions
from engines.program import Program, Tensors
from engines.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class FaultyOptions(OnnxRuntimeOptions):
    """Options of `backend: faulty`.

    Attributes:
        orders: folder with what is to go wrong, see `order`; what was carried out is gone from it.
        lag_s: how much longer it takes where it lags.
    """

    orders: str = ""
    lag_s: float = 0.15


def order(folder: Path, call: str, fault: str, after: int = 0, times: int = 1) -> None:
    """Has a fault happen.

    Args:
        folder: the engine's option `orders`.
        call: ``prepare`` or ``forward``.
        fault: a method of `FaultyEngine`, without the ``_``.
        after: so many forwards, the one at loading included.
        times: how often it happens; -1: as long as the file is there.
    """
    folder.mkdir(exist_ok=True)
    part = folder / f".{call}"
    part.write_text(f"{fault} {after} {times}")
    part.rename(folder / call)


class FaultyEngine(OnnxRuntimeEngine):
    """Fails as ordered."""

    backend = "faulty"
    options_type = FaultyOptions
    options: FaultyOptions
    forwards = 0

    def _prepare(self, program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        self._obey("prepare")
        return super()._prepare(program)

    def _forward(self, inputs: Tensors) -> Mapping[str, NDArray[Any]]:
        self.forwards += 1
        outputs = super()._forward(inputs)
        if self._obey("forward") == "nan":
            return {name: np.full_like(array, np.nan) for name, array in outputs.items()}
        return outputs

    def _obey(self, call: str) -> str:
        path = Path(self.options.orders) / call
        try:
            fault, after, times = path.read_text().split()
        except FileNotFoundError:
            return ""
        if self.forwards <= int(after):
            return ""
        if int(times) > 1:
            order(path.parent, call, fault, int(after), int(times) - 1)
        elif int(times) == 1:
            path.unlink()
        if fault != "nan":
            getattr(self, f"_{fault}")()
        return fault

    def _raise(self) -> None:
        raise RuntimeError("the device was removed")

    def _refuse(self) -> None:
        raise EngineUnavailable(f"{self}: no such device any more")

    def _lag(self) -> None:
        """Takes longer, as on a device that is too weak or that others use."""
        time.sleep(self.options.lag_s)

    def _hang(self) -> None:
        time.sleep(3600)

    def _stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _exit(self) -> None:
        print("the driver is gone", file=sys.stderr, flush=True)
        os._exit(3)

    def _segfault(self) -> None:
        ctypes.string_at(0)

    def _chatter(self) -> None:
        """Prints more than any pipe holds."""
        for number in range(20_000):
            print(f"line {number} on the way", flush=True)

    def _babble(self) -> None:
        """Hangs, and prints all the time."""
        while True:
            print("still there", flush=True)

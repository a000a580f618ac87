"""Engines: tensors in, tensors out, on any backend. Knows no frame, box or camera."""

import os

from engines.base import BackendInfo, Engine
from engines.errors import (
    EngineError,
    EngineLost,
    EngineStateError,
    EngineUnavailable,
    ForwardError,
    OptionError,
    ProgramError,
    TensorError,
)
from engines.program import Kernel, Network, Program
from engines.registry import able, create, describe, engine_class, names
from engines.tensor import TensorSpec

# ONNX Runtime 1.29 and later tell their maker about every model that is loaded, unless this is set
# before the library is. Source: Privacy.md in its wheel.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "BackendInfo",
    "Engine",
    "EngineError",
    "EngineLost",
    "EngineStateError",
    "EngineUnavailable",
    "ForwardError",
    "Kernel",
    "Network",
    "OptionError",
    "Program",
    "ProgramError",
    "TensorError",
    "TensorSpec",
    "able",
    "create",
    "describe",
    "engine_class",
    "names",
]

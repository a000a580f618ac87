"""What KServe's inference protocol, version 2, says alike over HTTP and gRPC.

Source: the Open Inference Protocol, https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engines.program import Tensors
from engines.tensor import TensorSpec

#: The protocol's word for a type → numpy's. BYTES and BF16 have no numpy type of their own.
DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
#: No answer may be larger, bytes: what a message of gRPC can hold.
MAX_BYTES = 2**31 - 1


class ServerError(Exception):
    """The server answers, but refuses, or says what the protocol does not."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says about one of its models.

    Attributes:
        platform: such as ``onnxruntime_onnx``; empty where the server does not say.
        inputs: in its order, -1 where an axis is free; empty where the server does not say.
        outputs: as `inputs`.
    """

    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Client(Protocol):
    """A server of the protocol. It connects as it is used, and anew after a failure.

    Used by one thread at a time. Each call takes at most the client's timeout and raises
    `OSError` where no answer comes and `ServerError` where it is not the one asked for.
    """

    def server(self) -> str:
        """Name and version of the server's program."""

    def model(self, name: str, version: str) -> Served:
        """What it says of a model that is ready; an empty version leaves the choice to it."""

    def infer(self, name: str, version: str, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        """Runs a model; gives the outputs asked for, in arrays of the caller's own."""

    def close(self) -> None:
        """Closes the connection, if there is one."""


def tensor_spec(name: str, datatype: str, shape: Sequence[int]) -> TensorSpec:
    """A tensor of a model's metadata. Raises `ServerError` for a type numpy does not have."""
    return TensorSpec(name, tuple(map(int, shape)), dtype(name, datatype))


def dtype(name: str, datatype: str) -> np.dtype[np.generic]:
    """numpy's type for the protocol's, of the tensor with this name. Raises `ServerError`."""
    if datatype not in DTYPES:
        raise ServerError(
            f"tensor {name}: type {datatype!r} cannot be exchanged with numpy; "
            f"expected one of {', '.join(DTYPES)}"
        )
    return np.dtype(DTYPES[datatype])


def one_line(text: str) -> str:
    """A server's words, short enough for a message."""
    return " ".join(text.split())[:300]

"""The stretches of a network that the device cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableSequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.artefact import Segment
from engines.sim_npu.runtime.session import cpu_session
from engines.tensor import TensorSpec

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype("float32"),
    "tensor(int64)": np.dtype("int64"),
    "tensor(int32)": np.dtype("int32"),
    "tensor(bool)": np.dtype("bool"),
}


class HostProgram:
    """Runs a host segment on ONNX Runtime's CPU kernels.

    Attributes:
        specs: of its inputs and outputs, by name.
    """

    def __init__(self, segment: Segment, threads: int = 1) -> None:
        try:
            _require_whole(segment.network)
            self._session = cpu_session(segment.network, threads)
        except Exception as error:
            raise ProgramError(
                f"host segment with outputs {', '.join(segment.outputs)}: cannot be loaded: {error}"
            ) from error
        self._names = list(segment.outputs)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.specs = {node.name: _spec(node) for node in (*inputs, *outputs)}
        given, made = {node.name for node in inputs}, {node.name for node in outputs}
        if given != set(segment.inputs) or not made.issuperset(segment.outputs):
            raise ProgramError(
                f"host segment with outputs {', '.join(segment.outputs)}: its network makes "
                f"{', '.join(sorted(made))} of {', '.join(sorted(given))}"
            )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The segment's outputs."""
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))


def _require_whole(network: bytes) -> None:
    """Raises `ProgramError` where a tensor's numbers lie in another file of this machine."""
    import onnx

    for tensor in _tensors(onnx.load_from_string(network)):
        if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
            raise ProgramError(f"tensor {tensor.name!r} is said to lie in another file")


def _tensors(message: Any) -> Iterator[Any]:
    """Every `onnx.TensorProto` anywhere in a message of ONNX."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if isinstance(value, MutableSequence) else [value]:
                yield from _tensors(inner)


def _spec(node: Any) -> TensorSpec:
    if node.type not in _DTYPES:
        raise ProgramError(f"tensor {node.name}: type {node.type} cannot be exchanged")
    shape = tuple(n if isinstance(n, int) else -1 for n in node.shape)
    return TensorSpec(node.name, shape, _DTYPES[node.type])

"""The compiled file: what the compiler writes and the runtime reads.

    magic (8 bytes) · version u32 · header length u32 · header (JSON, UTF-8) · arrays · sha256

All little-endian; arrays are contiguous and start at multiples of 64 from the end of the header.
The last 32 bytes are the SHA-256 of everything before them. Nothing in the file is code.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError

MAGIC = b"SLNPU\r\n\x1a"
VERSION = 1
TARGET = "sim-npu"
_HEAD = struct.Struct("<8sII")
_ALIGNMENT = 64
_DTYPES = ("int8", "uint8", "int32", "float32")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An int8 tensor on the device, or at its border.

    Attributes:
        shape: all lengths known; the first is the batch.
        scale: ``real = (stored - zero_point) * scale``.
        zero_point: in -128 … 127.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the device at work.

    Attributes:
        name: of the layer in the source network, for reports.
        operator: a key of `operators.OPERATORS`.
        inputs: names of tensors.
        output: name of the tensor it makes.
        attributes: as the operator says; plain values.
        constants: as the operator says.
        cycles: it takes on the profile, by the compiler's schedule.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    cycles: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the network in one place.

    Attributes:
        inputs: names of tensors it reads from earlier segments or the network's inputs.
        outputs: names of tensors it gives to later segments or the caller.
        layers: in order, where the device runs it; empty on the host. Those of a device that
            computes in floats have no constants, and two attributes: `macs`, and the `bytes` of
            what they make.
        network: an ONNX file with these inputs and outputs, where the host runs it, or a device
            that computes in floats; empty where layers say all.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...] = ()
    network: bytes = field(default=b"", repr=False)

    @property
    def on_device(self) -> bool:
        """Whether the device runs it."""
        return bool(self.layers)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A compiled network.

    Attributes:
        profile: name of the device profile it was compiled for.
        profile_sha256: `Profile.digest` at that time.
        rounding: one of `operators.ROUNDINGS`.
        source_sha256: of the ONNX file.
        tensors: every int8 tensor, by name; names that are not here are float32 on the host.
        segments: in order.
        inputs: of the whole network, by name; in `tensors` where a device segment reads them.
        outputs: of the whole network.
        report: the compiler's, plain values.
    """

    profile: str
    profile_sha256: str
    rounding: str
    source_sha256: str
    tensors: dict[str, Tensor]
    segments: tuple[Segment, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    report: dict[str, Any] = field(default_factory=dict, repr=False)


def write(artefact: Artefact, path: Path) -> None:
    """Writes the file, whole or not at all."""
    arrays = _Arrays()
    header = json.dumps(_header(artefact, arrays), sort_keys=True).encode()
    body = _HEAD.pack(MAGIC, VERSION, len(header)) + header + bytes(arrays.content)
    part = path.with_name(path.name + ".part")
    part.write_bytes(body + sha256(body).digest())
    part.replace(path)


def read(path: Path) -> Artefact:
    """Reads the file and checks it. Arrays are read-only.

    Raises:
        ProgramError: there is no such file, or it is no artefact, of another version, truncated or
            changed since it was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProgramError(f"{path}: cannot be read: {error.strerror}") from error
    start, end = _checked(path, content)
    try:
        return _artefact(json.loads(content[start:end]), memoryview(content)[end:-32])
    except (KeyError, TypeError, ValueError) as error:
        raise ProgramError(f"{path}: its header is not what version {VERSION} has: {error}") from (
            error
        )


def _checked(path: Path, content: bytes) -> tuple[int, int]:
    """Where the header starts, and where it ends."""
    if not content.startswith(MAGIC):
        raise ProgramError(
            f"{path}: no artefact of {TARGET}; compile the network: "
            f"sightline compile MODEL --target {TARGET}"
        )
    if len(content) < _HEAD.size + 32:
        raise ProgramError(f"{path}: truncated, only {len(content)} bytes are there")
    _, version, length = _HEAD.unpack_from(content)
    if version != VERSION:
        raise ProgramError(
            f"{path}: artefact of version {version}, expected {VERSION}; compile the network again"
        )
    if sha256(content[:-32]).digest() != content[-32:]:
        raise ProgramError(f"{path}: truncated or changed since it was compiled (SHA-256 differs)")
    return _HEAD.size, _HEAD.size + length


class _Arrays:
    """The file's arrays while they are gathered."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, array: NDArray[Any]) -> dict[str, Any]:
        if array.dtype.name not in _DTYPES:
            raise ValueError(f"constants are {', '.join(_DTYPES)}, not {array.dtype}")
        start = len(self.content)
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self.content += data + bytes(-len(data) % _ALIGNMENT)
        return {"dtype": array.dtype.name, "shape": list(array.shape), "start": start}


def _array(place: dict[str, Any], content: memoryview) -> NDArray[Any]:
    dtype = np.dtype(place["dtype"]).newbyteorder("<")
    return np.frombuffer(content, dtype, prod(place["shape"]), place["start"]).reshape(
        place["shape"]
    )


def _header(artefact: Artefact, arrays: _Arrays) -> dict[str, Any]:
    return {
        "target": TARGET,
        "profile": artefact.profile,
        "profile_sha256": artefact.profile_sha256,
        "rounding": artefact.rounding,
        "source_sha256": artefact.source_sha256,
        "inputs": artefact.inputs,
        "outputs": artefact.outputs,
        "tensors": {
            name: [tensor.shape, tensor.scale, tensor.zero_point]
            for name, tensor in artefact.tensors.items()
        },
        "segments": [
            {
                "inputs": segment.inputs,
                "outputs": segment.outputs,
                "layers": [_layer_header(layer, arrays) for layer in segment.layers],
                "network": arrays.add(np.frombuffer(segment.network, np.uint8)),
            }
            for segment in artefact.segments
        ],
        "report": artefact.report,
    }


def _layer_header(layer: Layer, arrays: _Arrays) -> dict[str, Any]:
    return {
        "name": layer.name,
        "operator": layer.operator,
        "inputs": layer.inputs,
        "output": layer.output,
        "attributes": layer.attributes,
        "constants": {name: arrays.add(array) for name, array in sorted(layer.constants.items())},
        "cycles": layer.cycles,
    }


def _artefact(header: dict[str, Any], content: memoryview) -> Artefact:
    return Artefact(
        profile=header["profile"],
        profile_sha256=header["profile_sha256"],
        rounding=header["rounding"],
        source_sha256=header["source_sha256"],
        tensors={
            name: Tensor(tuple(shape), scale, zero_point)
            for name, (shape, scale, zero_point) in header["tensors"].items()
        },
        segments=tuple(_segments(header["segments"], content)),
        inputs=tuple(header["inputs"]),
        outputs=tuple(header["outputs"]),
        report=header["report"],
    )


def _segments(headers: list[dict[str, Any]], content: memoryview) -> Iterator[Segment]:
    for header in headers:
        yield Segment(
            tuple(header["inputs"]),
            tuple(header["outputs"]),
            tuple(
                Layer(
                    layer["name"],
                    layer["operator"],
                    tuple(layer["inputs"]),
                    layer["output"],
                    layer["attributes"],
                    {name: _array(place, content) for name, place in layer["constants"].items()},
                    layer["cycles"],
                )
                for layer in header["layers"]
            ),
            _array(header["network"], content).tobytes(),
        )

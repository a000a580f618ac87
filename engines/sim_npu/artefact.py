"""The compiled file: what the compiler writes and the runtime reads.

    magic (8 bytes) · version u32 · header length u32 · header (JSON, UTF-8) · arrays · sha256

All little-endian; arrays are contiguous and start at multiples of 64 from the end of the header.
The last 32 bytes are the SHA-256 of everything before them. Nothing in the file is code.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.header import Value, parsed

MAGIC = b"SLNPU\r\n\x1a"
VERSION = 1
TARGET = "sim-npu"
_HEAD = struct.Struct("<8sII")
_ALIGNMENT = 64
_DTYPES = ("int8", "uint8", "int32", "float32")
#: Of one tensor. It is computed here in float32 or float64, so a larger one could take this machine
#: all its memory, whatever the profile's device has.
MAX_ELEMENTS, MAX_AXES = 2**27, 8
#: Of one layer: about a minute of a fast device, which real pacing would wait for.
_MAX_CYCLES = 2**36
#: The smallest and largest of a tensor: float32, and no less exact than that.
_SCALES = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


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
        artefact = _artefact(parsed(content[start:end]), memoryview(content)[end:-32])
        _check_order(artefact)
    except ValueError as error:
        raise ProgramError(f"{path}: its header is not what version {VERSION} has: {error}") from (
            error
        )
    return artefact


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
    if _HEAD.size + length + 32 > len(content):
        raise ProgramError(f"{path}: its header of {length} bytes is longer than the file")
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


def _array(place: Value, content: memoryview) -> NDArray[Any]:
    """A view of the file; nothing is allocated."""
    name = place["dtype"].text()
    if name not in _DTYPES:
        raise ValueError(f"an array of {name[:40]}: expected one of {', '.join(_DTYPES)}")
    dtype, shape = np.dtype(name).newbyteorder("<"), _shape(place["shape"], 0)
    start = place["start"].whole(0, len(content))
    if start + prod(shape) * dtype.itemsize > len(content):
        raise ValueError(f"an array {list(shape)} at {start} goes beyond the file")
    return np.frombuffer(content, dtype, prod(shape), start).reshape(shape)


def _shape(value: Value, least: int) -> tuple[int, ...]:
    """At least so many axes, of at least that length."""
    shape = tuple(length.whole(least, MAX_ELEMENTS) for length in value.each(MAX_AXES, least))
    if prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"a tensor {list(shape)}: expected at most {MAX_ELEMENTS} elements")
    return shape


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


def _artefact(header: Value, content: memoryview) -> Artefact:
    return Artefact(
        profile=header["profile"].text(),
        profile_sha256=header["profile_sha256"].text(),
        rounding=header["rounding"].text(),
        source_sha256=header["source_sha256"].text(),
        tensors={name: _tensor(value) for name, value in header["tensors"].members()},
        segments=tuple(_segment(value, content) for value in header["segments"].each()),
        inputs=header["inputs"].texts(),
        outputs=header["outputs"].texts(),
        report=header["report"].plain(),
    )


def _tensor(value: Value) -> Tensor:
    shape, scale, zero_point = value.each(3, 3)
    return Tensor(_shape(shape, 1), scale.number(*_SCALES), zero_point.whole(-128, 127))


def _segment(value: Value, content: memoryview) -> Segment:
    return Segment(
        value["inputs"].texts(),
        value["outputs"].texts(),
        tuple(_layer(layer, content) for layer in value["layers"].each()),
        _array(value["network"], content).tobytes(),
    )


def _layer(value: Value, content: memoryview) -> Layer:
    return Layer(
        value["name"].text(),
        value["operator"].text(),
        value["inputs"].texts(),
        value["output"].text(),
        {name: _attribute(one) for name, one in value["attributes"].members()},
        {name: _array(place, content) for name, place in value["constants"].members()},
        value["cycles"].whole(0, _MAX_CYCLES),
    )


def _attribute(value: Value) -> int | list[int]:
    """Every attribute of every operator is a natural number, or several."""
    return [one.whole() for one in value.each()] if value.is_list() else value.whole()


def _check_order(artefact: Artefact) -> None:
    """Raises `ValueError` where something is read that is not there yet, or made twice."""
    known, read = set(artefact.inputs), set[str]()
    for number, segment in enumerate(artefact.segments):
        read.update(segment.inputs)
        if missing := sorted(set(segment.inputs) - known):
            raise ValueError(f"segment {number} reads {missing[0]!r}, which nothing before makes")
        made = [layer.output for layer in segment.layers] or list(segment.outputs)
        if missing := sorted(set(segment.outputs) - set(made)):
            raise ValueError(f"segment {number} gives {missing[0]!r}, which it does not make")
        if len({*known, *made}) < len(known) + len(made):
            raise ValueError(f"segment {number} makes a tensor that is there already")
        known.update(segment.outputs)
    if missing := sorted({*artefact.outputs} - known.difference(artefact.inputs)):
        raise ValueError(f"no segment makes the output {missing[0]!r}")
    if unread := sorted({*artefact.inputs} - read):
        raise ValueError(f"no segment reads the input {unread[0]!r}")

"""The weights of a ``.caffemodel``: arrays by the name of their layer.

Field numbers are facts of ``caffe.proto`` (https://github.com/BVLC/caffe, src/caffe/proto).
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.convert.caffe.wire import Field, Message, Wire
from engines.errors import ProgramError

Blobs = list[NDArray[np.float32]]

#: A protobuf message is not longer.
MAX_BYTES = 2**31 - 1

# NetParameter
_V1_LAYERS, _LAYERS = 2, 100
# LayerParameter, and the older V1LayerParameter: number of the name, number of the blobs
_LAYER_FIELDS = {_LAYERS: (1, 7), _V1_LAYERS: (4, 6)}
# BlobProto: num, channels, height, width of older files; then what newer ones have
_LEGACY_SHAPE = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
# BlobShape
_DIM = 1
_MAX_AXES = 32  # of a Caffe blob


def read_weights(path: Path) -> dict[str, Blobs]:
    """Reads a ``.caffemodel``.

    Memory is bounded by the file's size: no array is longer than the bytes that are there.

    Returns:
        The blobs of each layer that has some, float32. Those of older files have four axes where
        newer ones may have fewer.

    Raises:
        ProgramError: it cannot be read or is no such file; with the offset in it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProgramError(f"{path}: longer than 2 GiB; a .caffemodel never is")
        content = path.read_bytes()
    except OSError as error:
        raise ProgramError(f"{path}: cannot be read: {error.strerror}") from None
    if not content:
        raise ProgramError(f"{path}: the file is empty; it should hold a network's weights")
    weights: dict[str, Blobs] = {}
    for field in Message(str(path), memoryview(content), 0, len(content)).fields():
        if field.number in _LAYER_FIELDS:
            name, blobs = _layer(_expect_message(field), *_LAYER_FIELDS[field.number])
            if blobs:
                weights[name] = blobs
    if not weights:
        raise ProgramError(f"{path}: no layer with weights in it; is it a .caffemodel?")
    return weights


def _layer(layer: Message, name_field: int, blobs_field: int) -> tuple[str, Blobs]:
    name, blobs = "", []
    for field in layer.fields():
        if field.number == name_field:
            name = bytes(_expect_message(field).content).decode("utf-8", "replace")
        elif field.number == blobs_field:
            blobs.append(_blob(_expect_message(field)))
    return name, blobs


def _blob(blob: Message) -> NDArray[np.float32]:
    shape: list[int] | None = None
    legacy: dict[int, int] = {}
    parts: list[NDArray[np.float32]] = []
    for field in blob.fields():
        if field.number == _SHAPE:
            shape = _shape(_expect_message(field))
        elif field.number in _LEGACY_SHAPE and field.wire is Wire.VARINT:
            legacy[field.number] = field.value
        elif field.number == _DATA:
            parts.append(_numbers(field, Wire.FIXED32, np.dtype("<f4")))
        elif field.number == _DOUBLE_DATA:
            parts.append(_numbers(field, Wire.FIXED64, np.dtype("<f8")))
    data = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if shape is None:
        shape = [legacy.get(number, 0) for number in _LEGACY_SHAPE] if legacy else [data.size]
    if prod(shape) != data.size:
        raise ProgramError(
            f"{blob.file}: the blob at byte {blob.start} should have {shape} elements, it has "
            f"{data.size}"
        )
    return data.reshape(shape)


def _shape(shape: Message) -> list[int]:
    axes: list[int] = []
    for field in shape.fields():
        if field.number == _DIM:
            packed = field.wire is Wire.LENGTH
            axes.extend(field.body.varints() if packed else [field.value])
        if len(axes) > _MAX_AXES:
            raise ProgramError(
                f"{shape.file}: a blob with more than {_MAX_AXES} axes at byte {shape.start}"
            )
    return axes


def _numbers(field: Field, unpacked: Wire, dtype: np.dtype[np.floating]) -> NDArray[np.float32]:
    """Elements that were written in one piece, or, by some writers, one by one."""
    content = field.body.content
    if field.wire not in (Wire.LENGTH, unpacked) or len(content) % dtype.itemsize:
        raise ProgramError(
            f"{field.body.file}: {len(content)} bytes at byte {field.body.start} are no whole "
            f"number of {dtype} elements"
        )
    return np.frombuffer(content, dtype).astype(np.float32)


def _expect_message(field: Field) -> Message:
    if field.wire is not Wire.LENGTH:
        raise ProgramError(
            f"{field.body.file}: field {field.number} at byte {field.body.start} is no message; "
            "is it a .caffemodel?"
        )
    return field.body

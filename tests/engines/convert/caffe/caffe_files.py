"""Writes Caffe networks: the text as given, and weights through a small protobuf writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

import engines
from engines.convert.caffe import convert


def varint(value: int) -> bytes:
    """A whole number as protobuf writes it."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    """A field that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(array: np.ndarray) -> bytes:
    """BlobProto: packed data, and the shape."""
    shape = field(1, b"".join(map(varint, array.shape)))
    return field(5, array.astype("<f4").tobytes()) + field(7, shape)


def legacy_blob(array: np.ndarray) -> bytes:
    """BlobProto as files of 2014 have it: four numbers, and each element by itself."""
    four = (*[1] * (4 - array.ndim), *array.shape)
    shape = b"".join(varint(i << 3) + varint(n) for i, n in enumerate(four, 1))
    one_by_one = (varint(5 << 3 | 5) + value.tobytes() for value in array.ravel().astype("<f4"))
    return shape + b"".join(one_by_one)


def layer(name: str, kind: str, arrays: Sequence[np.ndarray]) -> bytes:
    """LayerParameter within a NetParameter."""
    blobs = b"".join(field(7, blob(array)) for array in arrays)
    return field(100, field(1, name.encode()) + field(2, kind.encode()) + blobs)


def v1_layer(name: str, arrays: Sequence[np.ndarray]) -> bytes:
    """V1LayerParameter within a NetParameter."""
    blobs = b"".join(field(6, legacy_blob(array)) for array in arrays)
    return field(2, field(4, name.encode()) + blobs)


def save(folder: Path, text: str, weights: Mapping[str, Sequence[np.ndarray]]) -> engines.Network:
    """Writes both files of a network."""
    path = folder / "net.prototxt"
    path.write_text(text)
    kinds = dict(re.findall(r'name: "([^"]+)" type: "([^"]+)"', text))
    content = b"".join(layer(name, kinds.get(name, ""), arrays) for name, arrays in weights.items())
    path.with_suffix(".caffemodel").write_bytes(field(1, b"net") + content)
    return engines.Network(path, "caffe")


def converted(network: engines.Network, folder: Path) -> ort.InferenceSession:
    """The network in ONNX Runtime, after our conversion."""
    result = convert(network, folder, "fp32")
    return ort.InferenceSession(str(result.path), providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every output by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def refusal(call: Callable[[], object]) -> str | None:
    """What a `ProgramError` says, the only one the call may raise; None where it raises none."""
    try:
        call()
    except engines.ProgramError as error:
        return str(error)
    return None


def by_opencv(
    network: engines.Network, inputs: Mapping[str, np.ndarray], layers: Sequence[str]
) -> list[np.ndarray]:
    """What OpenCV's own Caffe reader makes of some layers: the independent reference."""
    net = cv2.dnn.readNetFromCaffe(str(network.path), str(network.path.with_suffix(".caffemodel")))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    # Winograd and fusion trade exactness for speed.
    net.enableWinograd(False)
    net.enableFusion(False)
    for name, array in inputs.items():
        net.setInput(array, name)
    return [np.array(result) for result in net.forward(list(layers))]

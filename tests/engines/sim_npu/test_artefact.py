"""The compiled file."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from engines.errors import ProgramError
from engines.sim_npu.artefact import Artefact, Layer, Segment, Tensor, read, write

WEIGHTS = np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3)
CONV = Layer(
    "stem",
    "conv",
    ("x",),
    "y",
    {"strides": [1, 1]},
    {"weights": WEIGHTS, "ratio": np.array([0.1, 0.2], np.float32)},
    77,
)
ARTEFACT = Artefact(
    profile="hi3559a-nnie",
    profile_sha256="ab",
    rounding="float",
    source_sha256="cd",
    tensors={"x": Tensor((1, 1, 4, 4), 0.1, -3), "y": Tensor((1, 2, 2, 2), 1 / 3, 127)},
    segments=(Segment(("x",), ("y",), (CONV,)), Segment(("y",), ("z",), (), b"an ONNX file")),
    inputs=("x",),
    outputs=("z",),
    report={"layers": 1},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(ARTEFACT, tmp_path / "net.npu")
    return tmp_path / "net.npu"


def test_what_is_written_is_read(path: Path) -> None:
    found = read(path)
    layer = found.segments[0].layers[0]
    for name, array in CONV.constants.items():
        np.testing.assert_array_equal(layer.constants[name], array)
        assert layer.constants[name].dtype == array.dtype
    assert (layer.attributes, layer.cycles) == (CONV.attributes, 77)
    assert [segment.on_device for segment in found.segments] == [True, False]
    assert found.segments[1].network == b"an ONNX file"
    assert found.tensors == ARTEFACT.tensors
    assert found.report == ARTEFACT.report


def test_the_same_artefact_has_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write(read(path), tmp_path / "again.npu")
    assert (tmp_path / "again.npu").read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_every_changed_byte_is_found(path: Path) -> None:
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        spoilt = bytearray(content)
        spoilt[place] ^= 4
        path.write_bytes(bytes(spoilt))
        with pytest.raises(ProgramError):
            read(path)


@pytest.mark.parametrize("length", [0, 3, 8, 20, 100, -1])
def test_a_truncated_file_is_refused(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ProgramError, match=r"no artefact|truncated"):
        read(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"missing.npu: cannot be read: No such file"):
        read(tmp_path / "missing.npu")
    raw = tmp_path / "net.onnx"
    raw.write_bytes(np.random.default_rng(1).bytes(500))
    with pytest.raises(ProgramError, match="compile the network: sightline compile"):
        read(raw)


def test_another_version_is_named(path: Path) -> None:
    content = bytearray(path.read_bytes()[:-32])
    content[8] = 9
    path.write_bytes(bytes(content) + sha256(content).digest())
    with pytest.raises(ProgramError, match="version 9, expected 1; compile the network again"):
        read(path)


def test_a_header_of_something_else_is_refused(path: Path) -> None:
    content = path.read_bytes()[:-32].replace(b'"segments"', b'"sentences"'[:10])
    path.write_bytes(content + sha256(content).digest())
    with pytest.raises(ProgramError, match="not what version 1 has"):
        read(path)

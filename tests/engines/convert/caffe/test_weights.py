"""The reader of protobuf's wire format, and of the weights written in it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engines import ProgramError
from engines.convert.caffe.weights import read_weights
from engines.convert.caffe.wire import Message, Wire
from tests.engines.convert.caffe.caffe_files import (
    blob,
    field,
    layer,
    legacy_blob,
    refusal,
    v1_layer,
    varint,
)

ARRAYS = arrays.arrays(
    np.float32, arrays.array_shapes(max_dims=4, max_side=5), elements=st.floats(-9, 9, width=32)
)


def _whole(data: bytes) -> Message:
    return Message("net", memoryview(data), 0, len(data))


def _read(folder: Path, content: bytes) -> dict[str, list[np.ndarray]]:
    path = folder / "net.caffemodel"
    path.write_bytes(content)
    return read_weights(path)


@given(
    st.lists(
        st.tuples(st.integers(1, 2**29 - 1), st.binary(max_size=20) | st.integers(0, 2**64 - 1))
    )
)
def test_what_was_written_is_read(fields: list[tuple[int, bytes | int]]) -> None:
    data = b"".join(
        field(n, value) if isinstance(value, bytes) else varint(n << 3) + varint(value)
        for n, value in fields
    )
    found = [
        (f.number, bytes(f.body.content) if f.wire is Wire.LENGTH else f.value)
        for f in _whole(data).fields()
    ]
    assert found == fields


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_a_program_error(data: bytes) -> None:
    found = refusal(lambda: [list(field.body.varints()) for field in _whole(data).fields()])
    assert found is None or "net: no protobuf message at byte" in found


@given(st.lists(ARRAYS, min_size=1, max_size=3))
def test_blobs_come_back_in_both_formats(
    tmp_path_factory: pytest.TempPathFactory, blobs: list[np.ndarray]
) -> None:
    folder = tmp_path_factory.mktemp("weights")
    for content, shapes in (
        (layer("conv", "Convolution", blobs), [b.shape for b in blobs]),
        (v1_layer("conv", blobs), [(*[1] * (4 - b.ndim), *b.shape) for b in blobs]),
    ):
        found = _read(folder, field(1, b"net") + content)
        assert [array.shape for array in found["conv"]] == shapes
        for array, expected in zip(found["conv"], blobs, strict=True):
            np.testing.assert_array_equal(array.ravel(), expected.ravel())


def test_doubles_are_read(tmp_path: Path) -> None:
    shape = field(7, field(1, varint(2)))
    doubles = field(8, np.array([1.5, -2.5]).tobytes())
    content = field(100, field(1, b"fc") + field(7, shape + doubles))
    np.testing.assert_array_equal(_read(tmp_path, content)["fc"][0], [1.5, -2.5])


def test_a_file_cut_anywhere_is_refused_or_lacks_a_layer(tmp_path: Path) -> None:
    weights = [np.arange(12, dtype=np.float32).reshape(3, 4), np.ones(3, np.float32)]
    whole = layer("a", "InnerProduct", weights) + layer("b", "InnerProduct", weights)
    for end in range(len(whole)):
        read: list[str] = []
        found = refusal(lambda end=end, read=read: read.extend(_read(tmp_path, whole[:end])))
        assert read == ["a"] if found is None else str(tmp_path / "net.caffemodel") in found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"not a network at all", "no protobuf message at byte"),
        (field(1, b"net"), "no layer with weights in it"),
        (varint(100 << 3) + varint(7), "field 100 at byte 0 is no message"),
        (field(100, field(1, b"a") + field(7, field(5, b"123"))), "3 bytes at byte"),
        (
            field(100, field(1, b"a") + field(7, field(7, field(1, varint(2**40))))),
            "should have [1099511627776] elements, it has 0",
        ),
        (
            field(100, field(1, b"a") + field(7, field(7, field(1, b"\x01" * 99)))),
            "more than 32 axes",
        ),
        (field(100, b"\x0a\xff\xff\xff\xff\x07ab"), "is 2147483647 bytes long, but 2 are left"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ProgramError) as caught:
        _read(tmp_path, content)
    assert words in str(caught.value)
    assert str(tmp_path / "net.caffemodel") in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"none\.caffemodel: cannot be read"):
        read_weights(tmp_path / "none.caffemodel")


@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_memory_is_bounded_by_the_file(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    """No damaged byte makes it allocate what the file does not have."""
    content = bytearray(layer("a", "InnerProduct", [np.ones((9, 10), np.float32)]))
    content[position % len(content)] = value
    folder = tmp_path_factory.mktemp("damaged")
    tracemalloc.start()
    refusal(lambda: _read(folder, bytes(content)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_an_unpacked_blob_is_the_same_as_a_packed_one(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    for written in (blob(array), legacy_blob(array)):
        content = field(100, field(1, b"a") + field(7, written))
        np.testing.assert_array_equal(_read(tmp_path, content)["a"][0], array)

"""The file that a tracker is kept in: what is written is read, and anything else is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.tracking import snapshot
from pipeline.tracking.book import RECORD
from pipeline.tracking.snapshot import Snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gate.npz"


def some() -> Snapshot:
    records = np.zeros(3, RECORD)
    records["id"], records["box_xyxy"] = (3, 5, 9), np.arange(12).reshape(3, 4)
    arrays = {"book.records": records, "motion.state": np.linspace(-1, 1, 24).reshape(2, 4, 3)}
    return Snapshot("gate", -5, 1_700_000_000 * 10**9, "f00d", 10, arrays)


def test_what_is_written_is_read(path: Path) -> None:
    snapshot.write(path, some())
    back = snapshot.read(path)
    for field in ("camera", "pts_ns", "utc_ns", "made_by", "next_id"):
        assert getattr(back, field) == getattr(some(), field)
    assert back.arrays.keys() == some().arrays.keys()
    for name, array in some().arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)


def test_it_is_a_plain_archive_without_pickle(path: Path) -> None:
    snapshot.write(path, some())
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(archive["header"].tobytes())["format"] == snapshot.FORMAT
        assert set(archive.files) == {"header", "book.records", "motion.state"}


def test_a_new_one_takes_the_old_one_s_place_and_nothing_is_left_beside_it(path: Path) -> None:
    for _ in range(2):
        snapshot.write(path, some())
    assert [each.name for each in path.parent.iterdir()] == ["gate.npz"]


def test_objects_are_not_written(path: Path) -> None:
    evil = Snapshot("gate", 0, 0, "", 1, {"x": np.array([print], object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        snapshot.write(path, evil)
    assert not path.exists()


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused(path: Path, data: st.DataObject) -> None:
    snapshot.write(path, some())
    whole = path.read_bytes()
    where = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:where]
    else:
        damaged = bytearray(whole)
        damaged[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"gate\.npz is damaged"):
        snapshot.read(path)


def forged(body: bytes) -> bytes:
    """With the checksum that belongs to it."""
    return body + hashlib.sha256(body).hexdigest().encode()


def archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return forged(buffer.getvalue())


def header(**changes: object) -> np.ndarray:
    keys = {"format": 1, "camera": "gate", "pts_ns": 0, "utc_ns": 0, "made_by": "", "next_id": 1}
    return np.frombuffer(json.dumps(keys | changes).encode(), np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        forged(b""),
        forged(b"\x80garbage"),
        forged(pickle.dumps({"header": "x"})),
        archive(x=np.zeros(3)),
        archive(header=np.zeros(3)),
        archive(header=np.frombuffer(b"[]", np.uint8)),
        archive(header=header(extra=1)),
        archive(header=np.array([{}], object)),
    ],
)
def test_what_is_no_snapshot_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"gate\.npz is no state of a tracker"):
        snapshot.read(path)


def test_a_newer_format_is_refused_by_name(path: Path) -> None:
    path.write_bytes(archive(header=header(format=2, something="new")))
    with pytest.raises(DataError, match="format 2, of another version; this one reads 1"):
        snapshot.read(path)

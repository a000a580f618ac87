"""A sealed file is read as it was written, or refused: cut, flipped, moved or claiming too much."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelError
from pipeline.models.sealed import crypto
from pipeline.models.sealed.container import DIGEST, MAGIC, PREFIX, parse
from tests.models.conftest import Package
from tests.models.sealed.conftest import Keys, Seal

WAYS = pytest.mark.parametrize("encrypted", [False, True], ids=["open", "encrypted"])
fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def written(seal: Seal, encrypted: bool) -> bytes:
    """A signed file, the same for all examples of a test."""
    return seal(encrypted).read_bytes()


def rewritten(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """An unsigned file with another header and the hash that goes with it."""
    length = PREFIX.unpack_from(data)[3]
    header = json.loads(data[PREFIX.size : PREFIX.size + length])
    change(header)
    return with_header(data, json.dumps(header).encode())


def with_header(data: bytes, header: bytes) -> bytes:
    length = PREFIX.unpack_from(data)[3]
    payload = data[PREFIX.size + length : -DIGEST]
    return hashed(PREFIX.pack(MAGIC, 1, 0, len(header)) + header + payload)


def hashed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


@WAYS
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_what_went_in_comes_out(
    seal: Seal, package: Package, keys: Keys, encrypted: bool, signed: bool
) -> None:
    data = seal(encrypted, signed).read_bytes()
    contents = parse(data).contents(keys.aes)
    assert contents == {
        name: (package.folder / name).read_bytes() for name in ("tiny.onnx", "vector.npz")
    }
    assert (package.weights.read_bytes() in data) is not encrypted


def test_the_same_folder_gives_the_same_bytes(seal: Seal) -> None:
    for signed in (False, True):
        assert seal(False, signed).read_bytes() == seal(False, signed).read_bytes()


def test_no_two_encryptions_are_alike(seal: Seal, keys: Keys) -> None:
    one, other = parse(seal().read_bytes()), parse(seal().read_bytes())
    assert bytes(one.payload) != bytes(other.payload)
    assert one.contents(keys.aes) == other.contents(keys.aes)


@WAYS
@fuzz
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_seen(written: bytes, where: float, bit: int) -> None:
    data = bytearray(written)
    data[int(where * len(data))] ^= 1 << bit
    with pytest.raises(ModelError):
        parse(bytes(data))


@WAYS
@fuzz
@given(length=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(written: bytes, length: float) -> None:
    with pytest.raises(ModelError):
        parse(written[: int(length * len(written))])


def test_more_at_the_end_is_refused(seal: Seal) -> None:
    with pytest.raises(ModelError, match="not whole"):
        parse(seal().read_bytes() + b"\0")


@fuzz
@given(data=st.binary(max_size=200), length=st.integers(0, 2**32 - 1))
def test_noise_is_refused(data: bytes, length: int) -> None:
    for noise in (data, MAGIC + data, PREFIX.pack(MAGIC, 1, 0, length) + data):
        with pytest.raises(ModelError):
            parse(noise)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ModelError, match="no sealed model package"):
        parse(b"")


def test_another_version_is_refused(seal: Seal) -> None:
    data = bytearray(seal().read_bytes())
    data[len(MAGIC)] = 2
    with pytest.raises(ModelError, match=r"version 2\.0, known is 1\.0"):
        parse(bytes(data))


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (lambda h: h.update(more=1), "'more'.*not permitted"),
    "no manifest": (lambda h: h.pop("manifest"), "'manifest'"),
    "no files": (lambda h: h.update(files=[]), "'files'"),
    "leaves": (lambda h: h["files"][0].update(path="../x"), "leaves the package"),
    "absolute": (lambda h: h["files"][0].update(path="/etc/x"), "leaves the package"),
    "manifest leaves": (
        lambda h: h["manifest"]["test_vector"].update(path="../x"),
        "leaves the package",
    ),
    "other file": (lambda h: h["files"][1].update(path="x"), "not those of its manifest"),
    "twice": (lambda h: h["files"].append(h["files"][0]), "not those of its manifest"),
    "twice in both": (
        lambda h: (
            h["files"][1].update(path="tiny.onnx"),
            h["manifest"]["test_vector"].update(path="tiny.onnx"),
        ),
        "files have 'tiny.onnx' twice",
    ),
    "empty": (lambda h: h["files"][0].update(size=0), "files.0.size"),
    "negative": (lambda h: h["files"][0].update(size=-1), "files.0.size"),
    "text": (lambda h: h["files"][0].update(size="9"), "files.0.size"),
    "huge": (lambda h: h["files"][0].update(size=2**62), "not whole"),
    "beyond 64 bits": (lambda h: h["files"][0].update(size=10**400), "not whole|size"),
    "licence of nobody": (lambda h: h.update(licence={}), "no signer"),
    "cipher": (
        lambda h: h.update(encryption={"cipher": "rot13", "key_id": "0" * 16, "salt": "0" * 64}),
        "cipher",
    ),
    "salt": (lambda h: h.update(encryption={"key_id": "0" * 16, "salt": "zz" * 32}), "salt"),
    "signer": (lambda h: h.update(signer="00"), "signer"),
    "escape": (lambda h: h.update({"\x1b[2J": 1}), r"\\x1b\[2J"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_header_is_refused(seal: Seal, fault: str) -> None:
    change, reason = FAULTS[fault]
    with pytest.raises(ModelError, match=reason):
        parse(rewritten(seal(False, False).read_bytes(), change))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "wrong"),
        (b'{"files":[],"files":[]}', "written twice"),
        (b"[" * 100_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"1" * 5000, "cannot be read"),
    ],
)
def test_a_header_that_is_none(seal: Seal, header: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        parse(with_header(seal(False, False).read_bytes(), header))


def test_claimed_lengths_take_no_memory(seal: Seal) -> None:
    data = seal(False, False).read_bytes()
    claims = [
        rewritten(data, lambda h: h["files"][0].update(size=2**50)),
        PREFIX.pack(MAGIC, 1, 0, 2**32 - 1) + data,
    ]
    tracemalloc.start()
    try:
        for claim in claims:
            with pytest.raises(ModelError):
                parse(claim)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_changed_manifest_does_not_decrypt(seal: Seal, keys: Keys) -> None:
    data = rewritten(seal(True, False).read_bytes(), lambda h: h["manifest"].update(licence="MIT"))
    with pytest.raises(ModelError, match="chunk 0 is not what was encrypted"):
        parse(data).contents(keys.aes)


@pytest.mark.parametrize("fault", ["swapped", "repeated", "of another package", "flipped"])
def test_chunks_cannot_be_moved(
    seal: Seal, keys: Keys, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crypto, "CHUNK", 64)
    step = crypto.CHUNK + crypto.TAG
    data, other = seal(True, False).read_bytes(), seal(True, False).read_bytes()
    start = PREFIX.size + PREFIX.unpack_from(data)[3]
    one, two = data[start : start + step], data[start + step : start + 2 * step]
    forged = {
        "swapped": two + one,
        "repeated": one + one,
        "of another package": other[start : start + 2 * step],
        "flipped": one[:-1] + bytes([one[-1] ^ 1]) + two,
    }[fault]
    assert parse(data).contents(keys.aes)
    body = data[:start] + forged + data[start + 2 * step : -DIGEST]
    with pytest.raises(ModelError, match=r"chunk [01] is not what was encrypted"):
        parse(hashed(body)).contents(keys.aes)


def test_another_signer_cannot_be_claimed(
    seal: Seal, keys: Keys, make_keys: Callable[[str], Keys]
) -> None:
    data = seal().read_bytes()
    own = crypto.public_key(keys.signing).content.hex().encode()
    other = crypto.public_key(make_keys("other").signing).content.hex().encode()
    body = data[: -DIGEST - crypto.SIGNATURE].replace(own, other)
    with pytest.raises(ModelError, match="signature is not that of its signer"):
        parse(hashed(body) + data[-crypto.SIGNATURE :])


def test_the_reader_in_the_documentation_reads_it(seal: Seal, package: Package, keys: Keys) -> None:
    """The page suffices to write a reader: its own does, without a line of ours."""
    page = (Path(__file__).parents[3] / "docs" / "packages.md").read_text()
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], names)
    for encrypted in (False, True):
        manifest, files = names["read"](seal(encrypted).read_bytes(), keys.aes.content)
        assert manifest["name"] == "tiny"
        assert files["tiny.onnx"] == package.weights.read_bytes()
        assert set(files) == {"tiny.onnx", "vector.npz"}


def test_random_keys_do_not_repeat() -> None:
    ids = {crypto.new_key("aes-256").id for _ in range(20)}
    assert len(ids) == 20

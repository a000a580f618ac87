"""The sealed file, byte for byte; docs/packages.md specifies it for strangers.

    prefix | header (JSON) | files | SHA-256 of all before | Ed25519 signature of that, where signed

The header is open: it has the manifest, the licence, and names, sizes and order of the files. The
files may be encrypted. Errors here are reasons; `sealing` says of which file.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.errors import ModelError
from pipeline.models.manifest import InnerPath, Manifest
from pipeline.models.sealed.crypto import (
    SALT,
    SIGNATURE,
    Cipher,
    encrypted_size,
    require_signature,
    sign,
)
from pipeline.models.sealed.keys import Key
from pipeline.models.sealed.licence import Licence
from pipeline.models.strict import Strict

MAGIC = b"SLMODEL\n"
VERSION = 1
#: Magic, version, zero, length of the header; little-endian.
PREFIX = struct.Struct("<8sHHI")
LARGEST_HEADER = 4 << 20
DIGEST = 32

Hexadecimal = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]


class FileSize(Strict):
    """One file inside.

    Attributes:
        path: as the manifest has it.
        size: of its plain text, in bytes.
    """

    path: InnerPath
    size: Annotated[int, Field(ge=1)]


class Encryption(Strict):
    """How the files are encrypted.

    Attributes:
        cipher: the only one there is.
        key_id: which key it takes; see `Key.id`.
        salt: of this package alone, in hexadecimal digits.
    """

    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    key_id: Annotated[Hexadecimal, Field(min_length=16, max_length=16)]
    salt: Annotated[Hexadecimal, Field(min_length=2 * SALT, max_length=2 * SALT)]


class Header(Strict):
    """The open part.

    Attributes:
        manifest: the model's.
        files: inside, in their order: those of the manifest and its test vector, no other.
        encryption: None where they lie open.
        signer: the public key it is signed with, in hexadecimal digits; None where it is not.
        licence: only where it is signed; None for no limits.
    """

    manifest: Manifest
    files: Annotated[tuple[FileSize, ...], Field(min_length=1)]
    encryption: Encryption | None = None
    signer: Annotated[Hexadecimal, Field(min_length=64, max_length=64)] | None = None
    licence: Licence | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        vector = self.manifest.test_vector
        expected = [file.path for file in self.manifest.files] + ([vector.path] if vector else [])
        if [file.path for file in self.files] != expected:
            raise ValueError("its files are not those of its manifest, in that order")
        if self.licence is not None and self.signer is None:
            raise ValueError("it has a licence but no signer, so anybody may have written it")
        return self

    def encoded(self) -> bytes:
        """Canonical JSON: one header has one spelling."""
        value = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()

    def stored_size(self, file: FileSize) -> int:
        """Bytes that a file takes in the package."""
        return encrypted_size(file.size) if self.encryption else file.size

    def cipher(self, key: Key, bound: bytes) -> Cipher:
        """What encrypts and decrypts the files; only for an encrypted package."""
        assert self.encryption is not None
        return Cipher(key, bytes.fromhex(self.encryption.salt), bound)


@dataclass(frozen=True, slots=True)
class Container:
    """A sealed file that is whole, and signed by whom it says.

    Attributes:
        header: its open part.
        digest: SHA-256 of all but digest and signature.
        bound: SHA-256 of prefix and header, which every encrypted chunk is bound to.
        payload: the files as they are stored.
    """

    header: Header
    digest: bytes
    bound: bytes
    payload: memoryview = field(repr=False)

    def contents(self, key: Key | None) -> dict[str, bytes]:
        """The files in plain text by path.

        Args:
            key: for an encrypted package; not looked at for another.

        Raises:
            ModelError: a chunk was changed after it was encrypted.
        """
        if self.header.encryption is None:
            return {path: bytes(stored) for path, stored in self._stored()}
        assert key is not None
        cipher = self.header.cipher(key, self.bound)
        return {path: cipher.decrypt(stored) for path, stored in self._stored()}

    def _stored(self) -> Iterator[tuple[str, memoryview]]:
        at = 0
        for file in self.header.files:
            size = self.header.stored_size(file)
            yield file.path, self.payload[at : at + size]
            at += size


def build(
    header: Header, files: Mapping[str, bytes], key: Key | None, signing_key: Key | None
) -> bytes:
    """A sealed file.

    Args:
        header: with `encryption` where there is a key, and `signer` where there is a signing key.
        files: by path, those of the header.
        key: ``aes-256``, or None to leave the files open.
        signing_key: ``ed25519-private``, or None.
    """
    encoded = header.encoded()
    if len(encoded) > LARGEST_HEADER:
        raise ModelError(f"its manifest takes {len(encoded)} bytes, allowed are {LARGEST_HEADER}")
    opening = PREFIX.pack(MAGIC, VERSION, 0, len(encoded)) + encoded
    cipher = header.cipher(key, hashlib.sha256(opening).digest()) if key else None
    plain = [files[file.path] for file in header.files]
    body = opening + b"".join([cipher.encrypt(file) for file in plain] if cipher else plain)
    digest = hashlib.sha256(body).digest()
    return body + digest + (sign(signing_key, digest) if signing_key else b"")


def parse(data: bytes) -> Container:
    """Reads a sealed file and checks that it is whole.

    Nothing is allocated by a length that the file only claims.

    Raises:
        ModelError: with the reason: no such file, truncated, changed, or signed by another.
    """
    header, start = _read_header(data)
    stored = sum(header.stored_size(file) for file in header.files)
    end = start + stored
    expected = end + DIGEST + (SIGNATURE if header.signer else 0)
    if len(data) != expected:
        raise ModelError(f"expected {expected} bytes, found {len(data)}: it is not whole")
    view = memoryview(data)
    digest = hashlib.sha256(view[:end]).digest()
    if digest != data[end : end + DIGEST]:
        raise ModelError("its content does not have its own hash: it is damaged or was changed")
    if header.signer:
        signer = Key("ed25519-public", bytes.fromhex(header.signer))
        require_signature(signer, digest, data[-SIGNATURE:])
    bound = hashlib.sha256(view[:start]).digest()
    return Container(header, digest, bound, view[start:end])


def _read_header(data: bytes) -> tuple[Header, int]:
    """The header, and where it ends."""
    if len(data) < PREFIX.size or not data.startswith(MAGIC):
        raise ModelError("this is no sealed model package: it does not begin like one")
    _, version, zero, length = PREFIX.unpack_from(data)
    if version != VERSION or zero:
        raise ModelError(f"its format is version {version}.{zero}, known is {VERSION}.0")
    end = PREFIX.size + length
    if length > LARGEST_HEADER or end > len(data):
        raise ModelError(f"its header should have {length} bytes, which are not there: not whole")
    try:
        value = json.loads(data[PREFIX.size : end], object_pairs_hook=_unique)
        return Header.model_validate_json(json.dumps(value)), end
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ascii(".".join(map(str, first["loc"])))
        reason = first["msg"].removeprefix("Value error, ")
        raise ModelError(f"its header is wrong: {where}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its header cannot be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is written twice")
    return value

"""From a package's folder to a sealed file, and from a sealed file to what may be run.

Everything is read into memory; nothing of a sealed file is written anywhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from pipeline.clock import Clock, SystemClock
from pipeline.errors import ModelError
from pipeline.models.catalogue import Entry
from pipeline.models.manifest import FileEntry, read_strict
from pipeline.models.sealed.container import (
    Container,
    Encryption,
    FileSize,
    Header,
    build,
    parse,
)
from pipeline.models.sealed.crypto import SALT, public_key
from pipeline.models.sealed.keys import Key, read_key, read_keys
from pipeline.models.sealed.licence import Licence

SUFFIX = ".slm"
KEY_VARIABLE = "SIGHTLINE_MODEL_KEY"
SIGNERS_VARIABLE = "SIGHTLINE_MODEL_SIGNERS"


@dataclass(frozen=True, slots=True)
class Access:
    """With what sealed packages are opened.

    Attributes:
        key: source of the keys that decrypt, as `keys.read_keys` takes it; empty for none.
        signers: source of the public keys that are trusted; empty to trust every signature, and
            packages without one.
        clock: that licences are held against.
    """

    key: str = field(default="", repr=False)
    signers: str = ""
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def given(cls, key: str = "", signers: str = "") -> Access:
        """What is given here, and for what is not, what the environment gives."""
        environment = os.environ
        return cls(
            key or environment.get(KEY_VARIABLE, ""),
            signers or environment.get(SIGNERS_VARIABLE, ""),
        )

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.utc_ns() / 1e9, UTC)


@dataclass(frozen=True, slots=True)
class SealedPackage:
    """A sealed file that may be run here and now.

    Attributes:
        path: of the file.
        header: its open part.
        files: their content by path.
    """

    path: Path
    header: Header
    files: Mapping[str, bytes] = field(repr=False)

    def require_use(self, feature: str, cameras: int) -> None:
        """Raises `ModelError` where its licence does not allow a use; see `Licence`."""
        if self.header.licence is not None:
            with _named(self.path):
                self.header.licence.require_use(feature, cameras)


def is_sealed(model: str | Path) -> bool:
    """Whether a model is named by the path of a sealed file."""
    return str(model).endswith(SUFFIX)


def inspect(path: Path) -> Container:
    """Reads a sealed file; takes no key, and asks for neither trust nor licence.

    Raises:
        ModelError: it cannot be read, is not whole, or its signature is wrong.
    """
    with _named(path):
        try:
            if not path.is_file():
                raise ModelError("no such file")
            return parse(path.read_bytes())
        except OSError as error:
            raise ModelError(f"cannot be read: {error.strerror}") from None


def unseal(path: Path, access: Access) -> SealedPackage:
    """Opens a sealed file: whole, from a trusted signer, licensed here and now, decrypted.

    Raises:
        ModelError: one of these is not so; with the reason.
    """
    container = inspect(path)
    header = container.header
    with _named(path):
        require_trust(header, access.signers)
        if header.licence is not None:
            header.licence.require_valid(access.now)
        key = _matching_key(header.encryption, access.key) if header.encryption else None
        files = container.contents(key)
        for entry in header.manifest.files:
            _check(entry, files[entry.path])
    return SealedPackage(path, header, files)


def require_trust(header: Header, signers: str) -> None:
    """Raises `ModelError` where trusted signers are given and none of them signed.

    Args:
        header: of a container, whose signature is right.
        signers: source of their public keys; empty to ask for none.
    """
    if not signers:
        return
    trusted = {key.content.hex() for key in read_keys(signers, "ed25519-public")}
    if header.signer is None:
        raise ModelError("it is not signed, and only packages of trusted signers are taken")
    if header.signer not in trusted:
        raise ModelError(f"it is signed by {header.signer}, who is not among the trusted signers")


def pack(
    entry: Entry, target: Path, *, key: str = "", signing_key: str = "", licence: Path | None = None
) -> Header:
    """Makes a sealed file of a package's folder; what is not encrypted has always the same bytes.

    Args:
        entry: the package, in all its variants; every file must be here.
        target: the file to write; replaced in one step.
        key: source of the key to encrypt with; empty to leave the files open.
        signing_key: source of the key to sign with; empty for no signature.
        licence: a YAML file with the licence; None for no limits.

    Raises:
        ModelError: a file is missing or is not what the manifest says, there is no such key, or
            the target cannot be written.
    """
    if licence and not signing_key:
        raise ModelError(f"{licence}: a licence needs a signature; give --sign-key too")
    files = _read_files(entry)
    cipher_key = read_key(key, "aes-256") if key else None
    signer = read_key(signing_key, "ed25519-private") if signing_key else None
    header = _header(entry, files, cipher_key, signer, licence)
    _write(target, build(header, files, cipher_key, signer))
    return header


def _header(
    entry: Entry,
    files: Mapping[str, bytes],
    key: Key | None,
    signer: Key | None,
    licence: Path | None,
) -> Header:
    parts = {
        "encryption": Encryption(cipher="AES-256-GCM", key_id=key.id, salt=token_hex(SALT))
        if key
        else None,
        "signer": public_key(signer).content.hex() if signer else None,
        "licence": read_strict(licence, Licence, "licence") if licence else None,
    }
    sizes = tuple(FileSize(path=path, size=len(content)) for path, content in files.items())
    given = {name: part for name, part in parts.items() if part is not None}
    return Header.model_validate({"manifest": entry.manifest, "files": sizes, **given})


def _read_files(entry: Entry) -> dict[str, bytes]:
    """The files of the manifest, checked, and its test vector."""
    manifest = entry.manifest
    if not manifest.files:
        raise ModelError(f"model {manifest.name} is built into an engine: it has no files to pack")
    contents = {}
    for file in manifest.files:
        contents[file.path] = _read(entry.folder / file.path)
        with _named(entry.folder):
            _check(file, contents[file.path])
    if manifest.test_vector:
        path = manifest.test_vector.path
        contents[path] = _read(entry.folder / path)
    return contents


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    if not content:
        raise ModelError(f"{path}: the file is empty")
    return content


def _check(entry: FileEntry, content: bytes) -> None:
    found = hashlib.new(entry.algorithm, content).hexdigest()
    if found != entry.digest:
        raise ModelError(
            f"{entry.path}: expected {entry.algorithm} {entry.digest}, found {found}: it is not "
            "the file of the manifest"
        )


def _matching_key(encryption: Encryption, source: str) -> Key:
    """The key a package asks for."""
    if not source:
        raise ModelError(
            f"it is encrypted with the key {encryption.key_id}; say where that key is: "
            f"{KEY_VARIABLE}=env:NAME, file:PATH or command:PROGRAM"
        )
    keys = {key.id: key for key in read_keys(source, "aes-256")}
    if encryption.key_id not in keys:
        raise ModelError(
            f"it is encrypted with the key {encryption.key_id}, but given is {', '.join(keys)}"
        )
    return keys[encryption.key_id]


def _write(target: Path, content: bytes) -> None:
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ModelError(f"{target}: cannot be written: {error.strerror}") from None


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name before the reason."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error.__cause__

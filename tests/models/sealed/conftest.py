"""Keys, and the small package sealed in every way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import engines
from pipeline.models import find
from pipeline.models.sealed import pack
from pipeline.models.sealed.crypto import new_key, public_key
from pipeline.models.sealed.keys import Key, write_key
from tests.models.conftest import Package


@dataclass(frozen=True)
class Keys:
    """A key to encrypt with and one to sign with, in files.

    Attributes:
        encrypt: source of the one.
        sign: source of the other.
        signer: source of its public half.
    """

    aes: Key
    signing: Key
    encrypt: str
    sign: str
    signer: str


def require_installed(backend: str) -> None:
    """Skips a test where a backend's library is missing."""
    if missing := engines.engine_class(backend).describe().missing:
        pytest.skip(f"{backend}: {missing}")


@pytest.fixture
def make_keys(tmp_path: Path) -> Callable[[str], Keys]:
    """Makes keys in a folder of that name."""

    def make(name: str) -> Keys:
        folder = tmp_path / name
        folder.mkdir()
        aes, signing = new_key("aes-256"), new_key("ed25519-private")
        for file, key in (("aes", aes), ("sign", signing), ("signer", public_key(signing))):
            write_key(folder / file, key)
        sources = [f"file:{folder / file}" for file in ("aes", "sign", "signer")]
        return Keys(aes, signing, *sources)

    return make


@pytest.fixture
def keys(make_keys: Callable[[str], Keys]) -> Keys:
    return make_keys("keys")


Seal = Callable[..., Path]


@pytest.fixture
def seal(package: Package, keys: Keys, tmp_path: Path) -> Seal:
    """Seals the small package: ``seal(encrypted=…, signed=…, **licence)`` gives the file."""

    def make(encrypted: bool = True, signed: bool = True, **licence: object) -> Path:
        target, terms = tmp_path / "tiny.slm", tmp_path / "licence.yaml"
        terms.write_text(yaml.safe_dump(licence))
        pack(
            find(package.folder),
            target,
            key=keys.encrypt if encrypted else "",
            signing_key=keys.sign if signed else "",
            licence=terms if licence else None,
        )
        return target

    return make

"""Where keys come from: the environment, a file or a command.

A key is never an argument of a command, where every user of the machine could read it, and is in no
message and no ``repr``. In text it says what it is for, so that a public key is never taken for a
secret one: ``aes-256:``, ``ed25519-private:`` or ``ed25519-public:`` and 64 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.errors import ModelError

Kind = Literal["aes-256", "ed25519-private", "ed25519-public"]

_WORD = re.compile(r"(aes-256|ed25519-private|ed25519-public):([0-9a-fA-F]{64})")
_COMMAND_TIMEOUT_S = 10.0
_MOST_TEXT = 1 << 16
_SOURCES = (
    "a key comes from env:NAME, file:PATH or command:PROGRAM ARGUMENTS; what was given instead is "
    "not shown, as it may be the key itself"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """32 bytes and what they are for.

    Attributes:
        kind: of key.
        content: for ``ed25519-private`` the seed of RFC 8032, for the others the key itself.
    """

    kind: Kind
    content: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """16 hexadecimal digits that tell keys apart and tell nothing about the key."""
        return hashlib.sha256(b"sightline key id 1" + self.content).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The key in writing; secret where the key is."""
        return f"{self.kind}:{self.content.hex()}"


def read_keys(source: str, kind: Kind) -> tuple[Key, ...]:
    """The keys of one kind from where they are; at least one.

    Args:
        source: ``env:NAME``, ``file:PATH`` or ``command:PROGRAM ARGUMENTS`` (run without a shell).
            Each gives keys in text, between white space; ``#`` begins a comment. A public key may
            also be written here itself.
        kind: of the keys wanted; those of another kind are left out.

    Raises:
        ModelError: nothing is there, or it is not such a key; without what was found.
    """
    scheme, _, where = source.partition(":")
    readers = {"env": _from_environment, "file": _from_file, "command": _from_command}
    if kind == "ed25519-public" and scheme == kind:
        shown, text = source, source
    elif scheme in readers and where.strip():
        shown = f"{scheme}:{where.split()[0] if scheme == 'command' else where}"
        text = readers[scheme](where, shown)
    else:
        raise ModelError(_SOURCES)
    found = [key for key in _parse(text, shown) if key.kind == kind]
    if not found:
        raise ModelError(f"{shown}: there is no key {kind}:… (64 hexadecimal digits)")
    return tuple(found)


def read_key(source: str, kind: Kind) -> Key:
    """The first key of one kind; see `read_keys`."""
    return read_keys(source, kind)[0]


def write_key(path: Path, key: Key) -> None:
    """Writes a key into a new file, which nobody but its owner can read unless it is public.

    Raises:
        ModelError: there is such a file already, or it cannot be written.
    """
    mode = 0o644 if key.kind == "ed25519-public" else 0o600
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(key.text + "\n")
    except FileExistsError:
        raise ModelError(f"{path}: there is a file already; a key is never written over") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None


def _parse(text: str, shown: str) -> list[Key]:
    if len(text) > _MOST_TEXT:
        raise ModelError(f"{shown}: expected a few keys, found more than {_MOST_TEXT} characters")
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.partition("#")[0].split():
            match = _WORD.fullmatch(word)
            if match is None:
                raise ModelError(
                    f"{shown}: line {number} has something that is no key; expected aes-256:…, "
                    "ed25519-private:… or ed25519-public:… with 64 hexadecimal digits"
                )
            kind: Kind = match[1]  # type: ignore[assignment]  # one of them, as matched
            keys.append(Key(kind, bytes.fromhex(match[2])))
    return keys


def _from_environment(name: str, shown: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise ModelError(f"{shown}: the environment has no such variable; set it") from None


def _from_file(path: str, shown: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_MOST_TEXT + 1)
    except OSError as error:
        raise ModelError(f"{shown}: cannot be read: {error.strerror}") from None
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and b"-public:" not in content:
        _log.warning("%s: other users can read this key; run: chmod 600 %s", shown, path)
    return content.decode("ascii", "replace")


def _from_command(line: str, shown: str) -> str:
    try:
        done = subprocess.run(
            shlex.split(line),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{shown}: gave no key within {_COMMAND_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise ModelError(f"{shown}: cannot be run: {error.strerror}") from None
    except ValueError:
        raise ModelError(f"{shown}: cannot be run: a quote is not closed") from None
    if done.returncode != 0:
        raise ModelError(f"{shown}: failed with exit status {done.returncode}")
    return done.stdout.decode("ascii", "replace")

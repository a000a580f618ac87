"""What closes a telegram: a checksum, or a seal that only holders of a key can make.

The seal, from docs/telegram.md: ChaCha20-Poly1305 (RFC 8439) with a key for each session, which
HKDF-SHA256 (RFC 5869) makes of the shared key, the session's number and its beginning. The nonce is
the message's sequence number and fragment, which come once in a session.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from functools import lru_cache
from typing import Any, Protocol

from pipeline.errors import OutputError, RefusedError

#: Must-understand flags of a telegram.
AUTHENTICATED, ENCRYPTED = 1, 2
CHECKSUM = struct.Struct("<I")
#: What authentication adds to the header: when the session began, nanoseconds since 1970.
BEGAN = struct.Struct("<q")
KEY_BYTES = 32
TAG_BYTES = 16

_DERIVATION = b"sightline telegram 1"
_SESSION, _SEQUENCE, _FRAGMENT = slice(8, 16), slice(16, 20), 56  # places in the header
_HEADER = 60  # bytes of a header without authentication
_MOST_KEYS = 4096


class Envelope(Protocol):
    """How a telegram is closed.

    Attributes:
        flags: the must-understand flags that tell of it.
        trailer: bytes it adds to the end.
    """

    flags: int
    trailer: int

    def close(self, header: bytes, body: bytes) -> bytes:
        """The datagram of a header and what follows it."""


class Checksum:
    """Finds what was damaged on the way, and nothing else."""

    flags = 0
    trailer = CHECKSUM.size

    def close(self, header: bytes, body: bytes) -> bytes:
        datagram = header + body
        return datagram + CHECKSUM.pack(zlib.crc32(datagram))


class Seal:
    """Makes telegrams that a holder of the key knows as ours.

    Args:
        key: `KEY_BYTES` long, shared with the receivers.
        encrypt: whether nobody else can read texts and records.

    Raises:
        OutputError: the package ``cryptography`` is missing.
    """

    trailer = TAG_BYTES

    def __init__(self, key: bytes, encrypt: bool) -> None:
        self.flags = AUTHENTICATED | (ENCRYPTED if encrypt else 0)
        self._keys = _SessionKeys(key)
        self._last: dict[bytes, int] = {}

    def close(self, header: bytes, body: bytes) -> bytes:
        """Seals a datagram.

        Args:
            header: with `BEGAN` at its end.
            body: texts and records.

        Raises:
            ValueError: the number does not come after the session's last one; what is encrypted
                twice with one nonce can be read and forged.
        """
        salt = _salt(header)
        number = int.from_bytes(header[_SEQUENCE], "little") << 8 | header[_FRAGMENT]
        if number <= self._last.get(salt, -1):
            raise ValueError("a session's messages are sealed in order, and once each")
        self._last[salt] = number
        cipher = self._keys.cipher(salt)
        if self.flags & ENCRYPTED:
            sealed: bytes = header + cipher.encrypt(_nonce(header), body, header)
            return sealed
        open_ = header + body
        return open_ + bytes(cipher.encrypt(_nonce(header), b"", open_))


class Opener:
    """Opens what a `Seal` of the same key has closed.

    Args:
        key: `KEY_BYTES` long.

    Raises:
        OutputError: the package ``cryptography`` is missing.
    """

    def __init__(self, key: bytes) -> None:
        self._keys = _SessionKeys(key)

    def open(self, datagram: bytes) -> bytes:
        """Header, texts and records of a datagram whose flags say that it is authenticated.

        Raises:
            RefusedError: ``not_authentic``: changed on the way, or sealed with another key.
        """
        header = datagram[: datagram[5]]
        cipher, nonce = self._keys.cipher(_salt(header)), _nonce(header)
        try:
            if datagram[6] & ENCRYPTED:
                return header + bytes(cipher.decrypt(nonce, datagram[len(header) :], header))
            content, tag = datagram[:-TAG_BYTES], datagram[-TAG_BYTES:]
            cipher.decrypt(nonce, tag, content)
        except self._keys.invalid:
            raise RefusedError("not_authentic", "changed on the way, or another key") from None
        return content


class _SessionKeys:
    """The ciphers of the sessions; those of the last `_MOST_KEYS` are kept."""

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError as error:
            raise OutputError(f"{error}; run: pip install 'sightline[sealed]'") from error

        def derived(salt: bytes) -> Any:
            hkdf = HKDF(SHA256(), length=KEY_BYTES, salt=salt, info=_DERIVATION)
            return ChaCha20Poly1305(hkdf.derive(key))

        self.invalid = InvalidTag
        self.cipher = lru_cache(_MOST_KEYS)(derived)


def _salt(header: bytes) -> bytes:
    return header[_SESSION] + header[_HEADER : _HEADER + BEGAN.size]


def _nonce(header: bytes) -> bytes:
    return header[_SEQUENCE] + header[_FRAGMENT : _FRAGMENT + 1] + bytes(7)


def parse_key(text: str) -> bytes:
    """A key from 64 hexadecimal digits, or from base64.

    Raises:
        ValueError: it is no such key; without what was found.
    """
    word = text.strip()
    try:
        key = bytes.fromhex(word) if len(word) == 64 else base64.b64decode(word, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"a key is {KEY_BYTES} bytes, as 64 hexadecimal digits or as base64, and this is not "
            "(what was found is not shown); make one with `openssl rand -hex 32`"
        )
    return key

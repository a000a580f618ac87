"""Encryption in chunks, and signatures: thin words over the package ``cryptography``.

AES-256-GCM: NIST SP 800-38D. HKDF: RFC 5869. Ed25519: RFC 8032.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_bytes

from pipeline.errors import ModelError
from pipeline.models.sealed.keys import Key, Kind

#: Bytes of plain text in one chunk; the last chunk of a file is shorter.
CHUNK = 1 << 20
TAG = 16
SALT = 32
SIGNATURE = 64

_DERIVATION = b"sightline model package 1 encryption"
_SIGNATURE = b"sightline model package 1 signature"


def encrypted_size(size: int) -> int:
    """Bytes that a file of `size` bytes takes when it is encrypted."""
    return size + TAG * -(-size // CHUNK)


class Cipher:
    """Encrypts or decrypts the files of one package, in their order.

    Every package has a key of its own, derived from `key` and a random salt, so the nonce may be
    the number of the chunk in the package. With that, a chunk that was changed, moved, left out or
    taken from another package is not authentic.

    Args:
        key: ``aes-256``.
        salt: `SALT` random bytes, of this package alone.
        bound: what each chunk is bound to: the hash of the package's open part.
    """

    def __init__(self, key: Key, salt: bytes, bound: bytes) -> None:
        with _needing_cryptography():
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        derived = HKDF(SHA256(), length=32, salt=salt, info=_DERIVATION).derive(key.content)
        self._aes = AESGCM(derived)
        self._invalid = InvalidTag
        self._bound = bound
        self._number = 0

    def encrypt(self, plain: bytes) -> bytes:
        """The next file, `encrypted_size` long."""
        view = memoryview(plain)
        return b"".join(
            self._aes.encrypt(self._nonce(), view[start : start + CHUNK], self._bound)
            for start in range(0, len(plain), CHUNK)
        )

    def decrypt(self, stored: memoryview) -> bytes:
        """The next file; raises `ModelError` where a chunk is not authentic."""
        step = CHUNK + TAG
        try:
            return b"".join(
                self._aes.decrypt(self._nonce(), stored[start : start + step], self._bound)
                for start in range(0, len(stored), step)
            )
        except self._invalid:
            raise ModelError(
                f"chunk {self._number - 1} is not what was encrypted: the package was changed"
            ) from None

    def _nonce(self) -> bytes:
        number, self._number = self._number, self._number + 1
        return number.to_bytes(12, "big")


def new_key(kind: Kind) -> Key:
    """A new random secret key."""
    return Key(kind, token_bytes(32))


def public_key(key: Key) -> Key:
    """The public half of an ``ed25519-private`` key."""
    with _needing_cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    public = Ed25519PrivateKey.from_private_bytes(key.content).public_key()
    return Key("ed25519-public", public.public_bytes_raw())


def sign(key: Key, digest: bytes) -> bytes:
    """The signature, `SIGNATURE` long, with an ``ed25519-private`` key."""
    with _needing_cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    signature: bytes = Ed25519PrivateKey.from_private_bytes(key.content).sign(_SIGNATURE + digest)
    return signature


def require_signature(key: Key, digest: bytes, signature: bytes) -> None:
    """Raises `ModelError` unless the signature is that of an ``ed25519-public`` key."""
    with _needing_cryptography():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        Ed25519PublicKey.from_public_bytes(key.content).verify(signature, _SIGNATURE + digest)
    except (InvalidSignature, ValueError):
        raise ModelError("its signature is not that of its signer: it was changed") from None


@contextmanager
def _needing_cryptography() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ModelError(f"{error}; run: pip install 'sightline[sealed]'") from error

"""Proving who asks: basic (RFC 7617) and digest (RFC 7616, and RFC 2069 of old cameras)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]*))')
#: Digest algorithms that are understood, and their hashes.
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Login:
    """A user's name and password, and what the camera asked about them.

    Args:
        user: empty: there is none.
        password: never shown.
    """

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._challenge: Mapping[str, str] = {}
        self._basic = False
        self._count = 0

    def take(self, challenges: Sequence[str]) -> bool:
        """Takes what the camera asks (``WWW-Authenticate``); says whether it can be answered."""
        if not self._user:
            return False
        self._challenge, self._basic, self._count = {}, False, 0
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "digest":
                given = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(rest)}
                if _hash_name(given) in _HASHES:
                    self._challenge = given
            self._basic |= scheme.lower() == "basic"
        return bool(self._challenge or self._basic)

    def headers(self, method: str, url: str) -> dict[str, str]:
        """The headers that answer the camera, for one request; digest where it may be."""
        if self._challenge:
            return {"Authorization": self._digest(method, url)}
        if self._basic:
            both = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            return {"Authorization": f"Basic {both}"}
        return {}

    def _digest(self, method: str, url: str) -> str:
        given = self._challenge
        realm, nonce, name = given.get("realm", ""), given.get("nonce", ""), _hash_name(given)

        def hashed(*parts: str) -> str:
            return _HASHES[name](":".join(parts).encode()).hexdigest()

        self._count += 1
        own, count = secrets.token_hex(8), f"{self._count:08x}"
        key = hashed(self._user, realm, self._password)
        if given.get("algorithm", "").lower().endswith("-sess"):
            key = hashed(key, nonce, own)
        fields = {"username": self._user, "realm": realm, "nonce": nonce, "uri": url}
        if "auth" in re.split(r"[\s,]+", given.get("qop", "")):
            response = hashed(key, nonce, count, own, "auth", hashed(method, url))
            extra = f', qop=auth, nc={count}, cnonce="{own}"'
        else:
            response, extra = hashed(key, nonce, hashed(method, url)), ""
        fields |= {key: given[key] for key in ("opaque",) if key in given}
        quoted = ", ".join(f'{key}="{value}"' for key, value in fields.items())
        algorithm = f", algorithm={given['algorithm']}" if "algorithm" in given else ""
        return f'Digest {quoted}, response="{response}"{algorithm}{extra}'


def _hash_name(given: Mapping[str, str]) -> str:
    return (given.get("algorithm") or "MD5").upper().removesuffix("-SESS")

"""Who may see a test camera: RFC 2617, basic and digest, as cameras ask for it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

#: Stands in every test camera's URL, and must be found nowhere else.
PASSWORD = "pa55-Gate-w0rd"
_REALM = "camera"

Scheme = Literal["digest", "basic"]


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, and how they are asked for."""

    user: str = "viewer"
    password: str = PASSWORD
    scheme: Scheme = "digest"

    def challenge(self, nonce: str) -> str:
        """The value of ``WWW-Authenticate``."""
        if self.scheme == "basic":
            return f'Basic realm="{_REALM}"'
        return f'Digest realm="{_REALM}", nonce="{nonce}"'

    def admits(self, method: str, authorization: str, nonce: str) -> bool:
        """Whether the value of ``Authorization`` answers the challenge."""
        if self.scheme == "basic":
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return authorization == f"Basic {token}"
        given = dict(re.findall(r'(\w+)="([^"]*)"', authorization))
        secret = _md5(f"{self.user}:{_REALM}:{self.password}")
        asked = _md5(f"{method}:{given.get('uri', '')}")
        return given.get("response") == _md5(f"{secret}:{nonce}:{asked}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()

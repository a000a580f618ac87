"""Where pictures come from, as text: its parts, and how it may be shown."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

# A password with an unescaped slash makes no valid URL, but must not be shown for that; what looks
# like host:port/ is not taken for one.
_USER_INFO = re.compile(r"(?<=://)(?:[^/?#\s]*@|[^/?#\s:@]*:(?!\d+[/?#])[^\s'\"]*@)")
_SECRET_QUERY = re.compile(
    r"(?i)(?<=[?&;])([^=&;#\s]*(?:pass|pwd|token|secret|key|auth|sig)[^=&;#\s]*)=[^&;#\s'\"]*"
)


def redact(text: str) -> str:
    """The text with the secrets of every URL in it replaced by ``***``.

    User and password before the host go together, since many cameras accept a token as the user;
    and so do query values whose name speaks of a password, token, key or signature.

    >>> redact("rtsp://viewer:s3cret@10.0.0.5/stream1?token=abc&channel=2")
    'rtsp://***@10.0.0.5/stream1?token=***&channel=2'
    """
    return _SECRET_QUERY.sub(r"\1=***", _USER_INFO.sub("***@", text))


def scheme_of(uri: str) -> str:
    """The scheme in lower case, empty for a plain path (also for ``C:\\video.mp4``)."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    return match[1].lower() if match else ""


def path_of(uri: str) -> str:
    """The path of a plain path or a ``file:`` URI (``file:a.mp4``, ``file:///a%20b.mp4``).

    Escapes count only where the URI is written with slashes; a plain path is taken literally.
    """
    if scheme_of(uri) != "file":
        return uri
    if uri.lower().startswith("file://"):
        parts = urlsplit(uri)
        return unquote(parts.netloc + parts.path)
    return uri.partition(":")[2]

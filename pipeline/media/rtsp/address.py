"""Where a network camera is, and who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pipeline.errors import SourceError
from pipeline.media.uri import redact

_PORTS = {"rtsp": 554, "rtsps": 322}


@dataclass(frozen=True, slots=True)
class RtspAddress:
    """A camera's URL, taken apart.

    Attributes:
        name: what people may see.
        url: what the camera is asked for: without user and password, but with its query.
        host: name or number.
        port: of the control connection.
        tls: whether that is encrypted.
        user: empty: none.
        password: of `user`.
    """

    name: str
    url: str = field(repr=False)
    host: str
    port: int
    tls: bool
    user: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def parse(cls, uri: str) -> RtspAddress:
        """Takes ``rtsp://user:password@host:port/path`` apart.

        Raises:
            SourceError: it is no address.
        """
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
            (host or "").encode("idna")  # as the resolver will ask for it
        except ValueError:
            host = port = None
        if not host:
            raise SourceError(
                f"{redact(uri)}: this is no address; expected such as rtsp://user:password@"
                "10.0.0.5:554/stream1, with / @ : # ? % in user or password written as %2F %40 "
                "%3A %23 %3F %25"
            )
        scheme = parts.scheme.lower()
        place = parts.netloc.rpartition("@")[2]
        query = f"?{parts.query}" if parts.query else ""
        return cls(
            redact(uri),
            f"{scheme}://{place}{parts.path}{query}",
            host,
            port or _PORTS[scheme],
            scheme == "rtsps",
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )

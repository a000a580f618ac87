"""Who may ask what of the page, how much, and for how long: before any of our code runs."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Names under which a machine knows itself. Under any other, a browser on this machine was led here
#: by a page whose server has pointed its own name at us ("DNS rebinding").
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: No secret is told here: the page's files, and whether the process is there.
_OPEN = frozenset({"/", "/page.js", "/page.css", "/health/live", "/health/ready"})
_READING = frozenset({"GET", "HEAD"})
_MOST_BYTES = 64 * 1024
#: A client that takes, or gives, nothing for so long is left, seconds.
_PATIENCE_S = 10.0
#: A page of ours loads nothing from elsewhere, and is part of no other page.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Lets through only what may be asked.

    Args:
        app: behind it.
        token: what a client must show as ``Authorization: Bearer …``; None where nobody must.
        loopback: True where only this machine can connect: then the Host header must say so too.
    """

    def __init__(self, app: ASGIApp, token: str | None, loopback: bool) -> None:
        self._app = app
        self._token = token
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        client = _Client(receive, send)
        with suppress(TimeoutError):  # of an answer that is not taken; the connection is closed
            await (answer or self._app)(scope, client.receive, client.send)

    def _refusal(self, method: str, path: str, headers: Headers) -> JSONResponse | None:
        """Why it may not be asked; None where it may."""
        host = headers.get("host", "").rpartition(":")
        name = host[0] if host[2].isdigit() else headers.get("host", "")
        if self._loopback and name.lower() not in _OWN_NAMES:
            return _refused(421, "ask for it as localhost or 127.0.0.1")
        if self._token is not None and path not in _OPEN and not self._is_known(headers):
            wanted = {"www-authenticate": "Bearer"}
            return _refused(401, "show the token: Authorization: Bearer …", wanted)
        if method not in _READING and not _is_json(headers):
            # No form of another site can send this without asking first, and nobody answers that.
            return _refused(415, "changes are asked for with Content-Type: application/json")
        return None

    def _is_known(self, headers: Headers) -> bool:
        assert self._token is not None
        shown: bytes = headers.get("authorization", "").encode()
        return hmac.compare_digest(shown, f"Bearer {self._token}".encode())


class _Client:
    """A client that is not waited for for ever, and brings no more than it may."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._came = 0
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:  # what follows is only the news that the client is gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), _PATIENCE_S)
        except TimeoutError:
            raise HTTPException(408, "the request did not come in time") from None
        self._came += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._came > _MOST_BYTES:
            raise HTTPException(413, f"a request has at most {_MOST_BYTES} bytes")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await asyncio.wait_for(self._send(message), _PATIENCE_S)


def _is_json(headers: Headers) -> bool:
    kind: str = headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "application/json"


def _refused(code: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, code, headers)

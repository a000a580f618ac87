"""Who may ask what: a table of requests and whether they reach the page."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from starlette.types import Message

from pipeline.daemon.http import guard
from pipeline.daemon.http.guard import Guard

TOKEN = "0123456789abcdef"
SHOWN = {"authorization": f"Bearer {TOKEN}"}
JSON = {"content-type": "application/json"}


async def _size(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


class Client:
    """Asks a page behind a guard that says how large the request was."""

    def __init__(self, token: str | None = None, *, loopback: bool = True) -> None:
        inner = Router([Route("/{rest:path}", _size, methods=["GET", "POST", "DELETE"])])
        self._transport = httpx.ASGITransport(Guard(inner, token, loopback))

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, f"http://127.0.0.1:8080{path}", **options))

    async def _ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport) as client:
            return await client.request(method, url, **options)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("sightline.example:8080", 421),  # a page that points its own name at this machine
        ("127.0.0.1.example", 421),
        ("127.0.0.1:8080@evil", 421),
        ("", 421),
    ],
)
def test_on_loopback_only_this_machines_own_names_are_answered(host: str, code: int) -> None:
    assert Client()("GET", "/status", headers={"host": host}).status_code == code
    if code != 200 and host:
        assert Client(TOKEN, loopback=False)("GET", "/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 401),
        (SHOWN, 200),
        ({"authorization": f"bearer {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": TOKEN}, 401),
        ({"authorization": "Bearer é"}, 401),
        ({"cookie": f"token={TOKEN}"}, 401),
    ],
)
def test_the_token_is_shown_in_its_header_and_nowhere_else(
    headers: dict[str, str], code: int
) -> None:
    raw = {name: value.encode() for name, value in headers.items()}
    for loopback in (True, False):
        ask = Client(TOKEN, loopback=loopback)
        assert ask("GET", "/status", headers=raw).status_code == code
        assert ask("GET", f"/status?token={TOKEN}", headers=raw).status_code == code
        for path in ("/", "/page.js", "/page.css", "/health/live", "/health/ready"):
            assert ask("GET", path).status_code == 200
        for path in ("/health", "/metrics", "/config", "//", "/health/live/"):
            assert ask("GET", path).status_code == 401


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("", 415),
    ],
)
def test_what_another_sites_form_can_send_changes_nothing(kind: str, code: int) -> None:
    for method in ("POST", "DELETE"):
        answer = Client()(method, "/reload", headers={"content-type": kind}, content=b"{}")
        assert answer.status_code == code


def test_a_request_has_a_largest_size() -> None:
    assert Client()("POST", "/x", headers=JSON, content=b"1" * 65_536).text == "65536"


def test_a_larger_request_is_refused_and_a_slow_one_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_PATIENCE_S", 0.05)
    came = iter([{"type": "http.request", "body": b"1" * 40_000, "more_body": True}] * 2)

    async def much() -> Message:
        return next(came)

    async def never() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    async def not_taken(message: Message) -> None:
        await asyncio.sleep(3600)

    async def taken(message: Message) -> None:
        pass

    async def read(one: guard._Client) -> None:
        while True:
            await one.receive()

    async def ask() -> None:
        for receive, code in ((much, 413), (never, 408)):
            one = guard._Client(receive, taken)
            with pytest.raises(guard.HTTPException) as caught:
                await read(one)
            assert caught.value.status_code == code
        with pytest.raises(TimeoutError):
            await guard._Client(never, not_taken).send({"type": "http.response.body"})

    asyncio.run(ask())

"""A receiver of messages over HTTP, with faults on demand."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


class WebReceiver:
    """Listens on loopback and keeps what it acknowledged.

    Args:
        port: 0 takes a free one.
        certificate: with its key, in PEM: it then speaks TLS.

    Attributes:
        bodies: what was acknowledged.
        seen: each request's headers.
        statuses: answered one after the other; 200 where there is none left.
    """

    def __init__(self, port: int = 0, certificate: Path | None = None) -> None:
        self.bodies: list[bytes] = []
        self.seen: list[dict[str, str]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen.append(dict(self.headers))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                if status == 200:
                    receiver.bodies.append(body)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{receiver.url}elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                raise AssertionError("a redirection was followed")

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was acknowledged, doubles and all."""
        return [json.loads(line) for body in list(self.bodies) for line in body.splitlines()]

    def wait_for(self, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Waits for something that its messages bring about."""
        end_s = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end_s, f"only {len(self.messages)} messages came"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

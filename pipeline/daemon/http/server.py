"""The page's server: a thread beside the graph, which no signal and no client can hold up."""

from __future__ import annotations

import asyncio
import socket
from threading import Event
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.config import PipelineConfig
from pipeline.daemon.control import Control
from pipeline.daemon.http.app import application
from pipeline.daemon.http.guard import Guard
from pipeline.daemon.insight import Insight
from pipeline.errors import ConfigError
from pipeline.output.address import Address, parse_address
from pipeline.worker import Background

_MOST_CLIENTS = 64
_WAITING = 128
_POLL_S = 0.2
#: A connection on which nothing is being answered for so long is closed, seconds.
_PATIENCE_S = 10.0
#: What is still being answered at the end, such as a stream, has this long, seconds.
_GRACE_S = 1


class Server:
    """Serves the page from when it is made until it is stopped.

    Args:
        config: has `http`.
        insight: what the page tells.
        control: what the page may ask for.

    Attributes:
        url: where it is; with the port that was found where the configuration says 0.

    Raises:
        ConfigError: nobody can listen there.
    """

    def __init__(self, config: PipelineConfig, insight: Insight, control: Control) -> None:
        assert config.http is not None
        wanted = parse_address(config.http.bind)
        self._socket = _listening(wanted, config.where("http", "bind"))
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{Address(host, port)}"
        token = config.http.token.get_secret_value() if config.http.token else None
        guard = Guard(application(insight, control), token, wanted.is_loopback)
        self._server = uvicorn.Server(
            uvicorn.Config(
                guard,
                http=_connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                limit_concurrency=_MOST_CLIENTS,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread = Background("http", self._serve)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Answers what is being asked, and ends; says whether it did."""
        ended = self._thread.stop(timeout_s)
        self._socket.close()
        return ended

    def _serve(self, stop: Event) -> None:
        asyncio.run(self._until(stop))

    async def _until(self, stop: Event) -> None:
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not stop.is_set() and not serving.done():
            await asyncio.sleep(_POLL_S)
        self._server.should_exit = True
        await serving


def _connection(**keys: Any) -> H11Protocol:
    """One client's connection, which is closed where a request does not come to its end."""
    connection = H11Protocol(**keys)
    loop = asyncio.get_running_loop()

    def look() -> None:
        if connection.cycle is None or connection.cycle.response_complete:
            connection.transport.close()
        elif not connection.transport.is_closing():
            loop.call_later(_PATIENCE_S, look)

    loop.call_later(_PATIENCE_S, look)
    return connection


def _listening(address: Address, where: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_WAITING)
    except OSError as error:
        raise ConfigError(
            f"{where}: nobody can listen at {address}: {error.strerror or error}; "
            "choose another port, or end what listens there"
        ) from None

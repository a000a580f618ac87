"""KServe's inference protocol over HTTP, with its binary tensors.

`tritonclient.http` is not used: its connections belong to the gevent loop of the thread that made
them, so an engine that is prepared in one thread and run in another would fail or hang, and it
bounds each read but not the answer. Python's own HTTP client has neither problem.

Sources: https://github.com/kserve/open-inference-protocol, specification/protocol/
inference_rest.md; the binary tensors: https://github.com/triton-inference-server/server, docs/
protocol/extension_binary_data.md.
"""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from math import prod
from pathlib import Path
from socket import socket
from time import monotonic
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from engines.kserve.protocol import (
    DATATYPES,
    MAX_BYTES,
    Served,
    ServerError,
    dtype,
    one_line,
    tensor_spec,
)
from engines.program import Tensors

#: How much of a body is JSON; the rest are tensors.
JSON_BYTES = "Inference-Header-Content-Length"
#: No metadata is larger, bytes.
MAX_JSON = 2**24

Answer = TypeVar("Answer")


class HttpClient:
    """A `Client` over HTTP. Arguments as of `GrpcClient`; without `ca`, the system's trust."""

    def __init__(
        self, address: str, secure: bool, ca: Path | None, token: str, timeout_s: float
    ) -> None:
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = HTTPConnection(address, timeout=timeout_s)
        if secure:
            trust = ssl.create_default_context(cafile=ca)
            self._connection = HTTPSConnection(address, timeout=timeout_s, context=trust)
        self._deadline = 0.0

        def bounded_response(sock: socket, **how: Any) -> HTTPResponse:
            return HTTPResponse(_Bounded(sock, self._deadline), **how)  # type: ignore[arg-type]

        self._connection.response_class = bounded_response  # type: ignore[assignment]

    def server(self) -> str:
        found = self._ask("/v2", _json)
        return f"{found.get('name', '')} {found.get('version', '')}".strip()

    def model(self, name: str, version: str) -> Served:
        path = _path(name, version)
        found = self._ask(path, _json)
        # Some servers say it in the body, others by the status alone.
        if self._ask(f"{path}/ready", _json).get("ready", True) is not True:
            raise ServerError(f"model {name} is not ready")
        with _understanding():
            inputs, outputs = (
                tuple(tensor_spec(t["name"], t["datatype"], t["shape"]) for t in found[key])
                for key in ("inputs", "outputs")
            )
        return Served(str(found.get("platform", "")), inputs, outputs)

    def infer(self, name: str, version: str, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        described = [
            {
                "name": key,
                "shape": array.shape,
                "datatype": DATATYPES[array.dtype.name],
                "parameters": {"binary_data_size": array.nbytes},
            }
            for key, array in inputs.items()
        ]
        wanted = [{"name": key, "parameters": {"binary_data": True}} for key in outputs]
        header = json.dumps({"inputs": described, "outputs": wanted}).encode()
        body = [memoryview(header), *map(_bytes, inputs.values())]
        return self._ask(f"{_path(name, version)}/infer", _tensors, body)

    def close(self) -> None:
        self._connection.close()

    def _ask(
        self, path: str, read: Callable[[HTTPResponse], Answer], body: Sequence[memoryview] = ()
    ) -> Answer:
        """One request, with a body if there is one, and what `read` makes of its answer."""
        self._deadline = monotonic() + self._timeout_s
        try:
            with self._sent(path, body) as response, _understanding():
                if response.status != HTTPStatus.OK:
                    told = one_line(response.read(4096).decode(errors="replace"))
                    raise ServerError(f"HTTP {response.status}: {told}")
                answer = read(response)
                if response.read(1):
                    raise ValueError("there is more of it than it says")
                return answer
        except TimeoutError:
            self.close()
            raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None
        except HTTPException as error:
            self.close()
            raise ServerError(f"it does not speak HTTP: {one_line(repr(error))}") from error
        except (OSError, ServerError):
            self.close()
            raise

    def _sent(self, path: str, body: Sequence[memoryview]) -> HTTPResponse:
        """The beginning of the answer, on a new connection where the old one is dead."""
        kept = self._connection.sock is not None
        try:
            return self._send(path, body)
        except ConnectionError:
            # Servers close connections that were idle; to infer twice is as good as once.
            self._connection.close()
            if not kept:
                raise
            return self._send(path, body)

    def _send(self, path: str, body: Sequence[memoryview]) -> HTTPResponse:
        connection, headers = self._connection, self._headers
        if connection.sock is None:
            connection.connect()
        if body:
            headers = headers | {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(sum(chunk.nbytes for chunk in body)),
                JSON_BYTES: str(body[0].nbytes),
            }
            connection.request("POST", path, self._timely(body), headers)
        else:
            connection.request("GET", path, headers=headers)
        return connection.getresponse()

    def _timely(self, chunks: Sequence[memoryview]) -> Iterator[memoryview]:
        for chunk in chunks:
            self._connection.sock.settimeout(_left(self._deadline))
            yield chunk


class _Bounded(io.RawIOBase):
    """A socket's reading side that gives up at a deadline, however slowly bytes come in."""

    def __init__(self, sock: socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw = sock.makefile("rb", buffering=0)  # keeps the connection open for its reader

    def makefile(self, _mode: str) -> BinaryIO:
        """What `HTTPResponse` asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._deadline))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(deadline: float) -> float:
    """Seconds until then. Raises `TimeoutError` where there are none."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def _understanding() -> Iterator[None]:
    """Turns what reading nonsense raises into `ServerError`."""
    try:
        yield
    except TimeoutError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ServerError(f"its answer is not understood: {one_line(repr(error))}") from error


def _path(name: str, version: str) -> str:
    path = f"/v2/models/{quote(name, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _bytes(array: NDArray[Any]) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _json(response: HTTPResponse) -> dict[str, Any]:
    """A body that is a JSON object; an empty one says nothing. Raises `ValueError`."""
    found = json.loads(response.read(MAX_JSON) or b"{}")
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, got {type(found).__name__}")
    return found


def _tensors(response: HTTPResponse) -> Tensors:
    """The outputs of an answer, read from the connection right into their arrays."""
    size = response.getheader(JSON_BYTES)
    found = json.loads(response.read(MAX_BYTES if size is None else int(size)))
    return {output["name"]: _tensor(output, response) for output in found["outputs"]}


def _tensor(output: dict[str, Any], response: HTTPResponse) -> NDArray[Any]:
    kind, shape = dtype(output["name"], output["datatype"]), tuple(output["shape"])
    if "data" in output:
        return np.array(output["data"], kind).reshape(shape)
    size = output["parameters"]["binary_data_size"]
    if size != prod(shape) * kind.itemsize or not 0 <= size <= MAX_BYTES:
        raise ValueError(f"{size} bytes for {output['name']}: {kind}{list(shape)}")
    array = np.empty(shape, kind)
    left = _bytes(array)
    while left:
        got = response.readinto(left)
        if not got:
            raise ConnectionError("the connection ended in the middle of an answer")
        left = left[got:]
    return array

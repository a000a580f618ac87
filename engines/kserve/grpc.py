"""KServe's inference protocol over gRPC, with the messages of `tritonclient`.

The messages are filled in here and not by `tritonclient.grpc.InferenceServerClient`: it reads no
answer whose numbers come as typed fields, which the protocol allows.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/
inference_grpc.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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

#: Where an answer has a tensor's numbers if not as raw bytes.
CONTENTS = {
    "bool": "bool_contents",
    "uint8": "uint_contents",
    "uint16": "uint_contents",
    "uint32": "uint_contents",
    "uint64": "uint64_contents",
    "int8": "int_contents",
    "int16": "int_contents",
    "int32": "int_contents",
    "int64": "int64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
}
CHANNEL = [
    ("grpc.max_send_message_length", MAX_BYTES),
    ("grpc.max_receive_message_length", MAX_BYTES),
    # A channel that failed is thrown away: its successor must not wait for the old one's turn.
    ("grpc.use_local_subchannel_pool", 1),
    # The configuration says where the server is, not the environment.
    ("grpc.enable_http_proxy", 0),
]


class GrpcClient:
    """A `Client` over gRPC.

    Args:
        address: host and port.
        secure: whether over TLS.
        ca: certificates to trust, as PEM; None for gRPC's own.
        token: of the bearer; empty for none.
        timeout_s: of each call, seconds.

    Raises:
        ImportError: no `tritonclient[grpc]`.
    """

    def __init__(
        self, address: str, secure: bool, ca: Path | None, token: str, timeout_s: float
    ) -> None:
        import grpc
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        self._grpc, self._messages, self._stubs = grpc, service_pb2, service_pb2_grpc
        self._address, self._timeout_s = address, timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._credentials: Any = None
        if secure:
            self._credentials = grpc.ssl_channel_credentials(ca.read_bytes() if ca else None)
        self._channel: Any = None
        self._stub: Any = None

    def server(self) -> str:
        answer = self._call("ServerMetadata", self._messages.ServerMetadataRequest())
        return f"{answer.name} {answer.version}".strip()

    def model(self, name: str, version: str) -> Served:
        request = self._messages.ModelMetadataRequest(name=name, version=version)
        found = self._call("ModelMetadata", request)
        request = self._messages.ModelReadyRequest(name=name, version=version)
        if not self._call("ModelReady", request).ready:
            raise ServerError(f"model {name} is not ready")
        inputs, outputs = (
            tuple(tensor_spec(t.name, t.datatype, t.shape) for t in tensors)
            for tensors in (found.inputs, found.outputs)
        )
        return Served(found.platform, inputs, outputs)

    def infer(self, name: str, version: str, inputs: Tensors, outputs: Sequence[str]) -> Tensors:
        request = self._messages.ModelInferRequest(model_name=name, model_version=version)
        for key, array in inputs.items():
            datatype = DATATYPES[array.dtype.name]
            request.inputs.add(name=key, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        for key in outputs:
            request.outputs.add(name=key)
        answer = self._call("ModelInfer", request)
        try:
            return _tensors(answer)
        except (ValueError, KeyError) as error:
            raise ServerError(f"its answer is not understood: {one_line(str(error))}") from error

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = self._stub = None

    def _call(self, method: str, request: Any) -> Any:
        call: Callable[..., Any] = getattr(self._connected(), method)
        try:
            return call(request, timeout=self._timeout_s, metadata=self._metadata)
        except self._grpc.RpcError as error:
            code, told = error.code(), one_line(error.details() or "")
        if code is self._grpc.StatusCode.DEADLINE_EXCEEDED:
            self.close()
            raise TimeoutError(f"no answer within {self._timeout_s:g} s")
        if code is self._grpc.StatusCode.UNAVAILABLE:
            self.close()
            raise ConnectionError(told)
        raise ServerError(f"{code.name}: {told}")

    def _connected(self) -> Any:
        if self._stub is None:
            if self._credentials is None:
                self._channel = self._grpc.insecure_channel(self._address, CHANNEL)
            else:
                self._channel = self._grpc.secure_channel(self._address, self._credentials, CHANNEL)
            self._stub = self._stubs.GRPCInferenceServiceStub(self._channel)
        return self._stub


def _tensors(answer: Any) -> Tensors:
    """The outputs of a `ModelInferResponse`. Raises `ValueError` where sizes do not fit."""
    raw = answer.raw_output_contents
    if raw and len(raw) != len(answer.outputs):
        raise ValueError(f"{len(answer.outputs)} outputs and {len(raw)} raw contents")
    found = {}
    for number, output in enumerate(answer.outputs):
        kind = dtype(output.name, output.datatype)
        if raw:
            array = np.frombuffer(raw[number], kind).copy()
        else:
            array = np.array(getattr(output.contents, CONTENTS[kind.name]), kind)
        found[output.name] = array.reshape(tuple(output.shape))
    return found

"""What only KServe does: a server that is absent, restarted, hung, wrong or talks nonsense."""

from __future__ import annotations

import gc
import json
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import (
    Engine,
    EngineUnavailable,
    ForwardError,
    Network,
    OptionError,
    ProgramError,
    TensorSpec,
)
from pipeline.models.package import load_model
from tests.engines import serving
from tests.engines.subjects import expected_features, picture

grpc = pytest.importorskip("grpc")
pytest.importorskip("tritonclient.grpc")
from tritonclient.grpc import service_pb2, service_pb2_grpc  # noqa: E402 - may be missing

PROTOCOLS = ("grpc", "http")
ECHO = Network(
    Path("echo.onnx"),
    "onnx",
    (TensorSpec("x", (2,), np.dtype("float32")),),
    (TensorSpec("y", (2,), np.dtype("float32")),),
    content=b"not sent",
)
TENSORS = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [2]}],
}
GOOD = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1, 2]}]}


@pytest.fixture
def server() -> serving.Server:
    if serving.missing():
        pytest.skip(serving.missing())
    return serving.shared_server()


@contextmanager
def loaded(device: str, network: Network, **options: Any) -> Iterator[Engine]:
    with engines.create("far", "kserve", device, **options) as engine:
        engine.init()
        engine.prepare(network)
        yield engine


def load(device: str, network: Network, **options: Any) -> None:
    with loaded(device, network, **options):
        pass


def run(engine: Engine, array: np.ndarray) -> np.ndarray:
    engine.set_tensor(engine.inputs[0].name, array)
    engine.forward()
    return engine.get_tensor(engine.outputs[0].name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_served_model_gives_the_bytes_of_a_local_one(
    server: serving.Server, protocol: str, batch: int
) -> None:
    network = load_model("street-pico").program
    assert isinstance(network, Network)
    server.host(network.path, "street-pico")
    images = np.random.default_rng(0).uniform(0, 255, (batch, 3, 288, 512)).astype(np.float32)
    with engines.create("near", "onnxruntime") as local:
        local.init()
        local.prepare(network)
        expected = run(local, images)
    with loaded(server.address(protocol), network) as engine:
        found = run(engine, images)
        assert found.tobytes() == expected.tobytes()
        assert found.flags.writeable
        report = engine.report()
    assert report["model"] == "street-pico"
    assert report["server"].startswith("kserve ")
    assert report["precision"] == "as served"
    assert report["device"] == server.address(protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_dies_and_comes_back(
    server: serving.Server, protocol: str, network: Network
) -> None:
    server.host(network.path, "convolution")
    with loaded(server.address(protocol), network) as engine:
        before = run(engine, picture())
        server.kill()
        for _ in range(2):
            with pytest.raises(ForwardError, match=r"'far'.*'convolution'"):
                run(engine, picture())
        with pytest.raises(EngineUnavailable, match=r"start it, or correct the engine's device"):
            engines.create("late", "kserve", server.address(protocol)).init()
        server.start()
        np.testing.assert_array_equal(run(engine, picture()), before)
        server.kill()
        server.start()  # between two forwards: nobody notices
        np.testing.assert_array_equal(run(engine, picture()), before)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_hangs(server: serving.Server, protocol: str, network: Network) -> None:
    server.host(network.path, "convolution")
    with loaded(server.address(protocol), network, answer_s=0.5) as engine:
        before = run(engine, picture())
        server.stop()
        try:
            with pytest.raises(ForwardError, match=r"no answer within 0.5 s"):
                run(engine, picture())
            with pytest.raises(EngineUnavailable, match=r"no answer within 0.2 s"):
                engines.create("late", "kserve", server.address(protocol), answer_s=0.2).init()
        finally:
            server.resume()
        np.testing.assert_array_equal(run(engine, picture()), before)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_model_the_server_has_not(
    server: serving.Server, protocol: str, network: Network
) -> None:
    server.host(network.path, "known")
    with loaded(server.address(protocol), network, remote="known") as engine:
        np.testing.assert_allclose(run(engine, picture()), expected_features(picture()), atol=1e-4)
    with pytest.raises(ProgramError, match=r"model 'unknown': .*; load it there, or name it"):
        load(server.address(protocol), network, remote="unknown")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_declared_must_be_what_is_served(
    server: serving.Server, protocol: str, network: Network
) -> None:
    server.host(network.path, "convolution")
    device = server.address(protocol)
    image, *others = network.inputs
    other = replace(network, inputs=(replace(image, shape=(1, 3, 8, 11)), *others))
    with pytest.raises(ProgramError, match=r"expected input image: .* 11\].*found image: .* 10\]"):
        load(device, other)
    renamed = replace(
        network,
        inputs=(replace(image, name="picture"),),
        outputs=tuple(replace(spec, name=f"out_{spec.name}") for spec in network.outputs),
    )
    with loaded(device, renamed) as engine:
        assert [spec.name for spec in engine.outputs] == ["out_features", "out_positive"]
        np.testing.assert_allclose(run(engine, picture()), expected_features(picture()), atol=1e-4)
    with loaded(device, replace(network, inputs=(), outputs=())) as engine:
        assert [str(spec) for spec in engine.inputs] == ["image: float32[1, 3, 8, 10]"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_connecting_again_and_again_leaves_nothing_open(
    server: serving.Server, protocol: str, network: Network
) -> None:
    server.host(network.path, "convolution")

    def cycles(count: int) -> int:
        for _ in range(count):
            with loaded(server.address(protocol), network) as engine:
                run(engine, picture())
        gc.collect()
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path opens one more

    before = cycles(5)
    assert cycles(50) <= before + 2


def test_a_file_can_name_the_model(
    server: serving.Server, network: Network, tmp_path: Path
) -> None:
    server.host(network.path, "elsewhere")
    path = tmp_path / "remote.yaml"
    path.write_text("model: elsewhere\n")
    far = replace(network, path=path, format="kserve")
    with loaded(server.address("http"), far) as engine:
        assert engine.report()["model"] == "elsewhere"
    for content, told in {
        "": "expected model: NAME",
        "model: x\nspeed: 9": "expected model: NAME",
        "- model": "expected model: NAME",
        "model: 7": "model: expected text, got 7",
        "model: x\nversion: 1": "version: expected text, got 1",
        "model: [": "cannot be read as YAML",
        "\0": "cannot be read as YAML",
    }.items():
        path.write_text(content)
        with pytest.raises(ProgramError, match=f"remote.yaml: {told}"):
            load(server.address("http"), far)


@pytest.mark.parametrize(
    ("device", "options", "told"),
    [
        ("cpu", {}, r"device: expected a server's address such as grpc://127.0.0.1:8001"),
        ("grpc://127.0.0.1", {}, "device: expected a server's address"),
        ("http://127.0.0.1:port", {}, "device: expected a server's address"),
        ("ftp://127.0.0.1:21", {}, "device: expected a server's address"),
        ("http://127.0.0.1:80/v2", {}, "device: expected a server's address"),
        ("grpc://127.0.0.1:1", {"answer_s": 0}, "answer_s: expected seconds > 0 and .* got 0"),
        ("grpc://127.0.0.1:1", {"answer_s": float("nan")}, "answer_s: expected seconds > 0"),
        ("grpc://127.0.0.1:1", {"answer_s": 1e9}, "answer_s: expected seconds > 0"),
        ("grpc://127.0.0.1:1", {"precision": "fp16"}, "precision: the server decides"),
        ("grpc://127.0.0.1:1", {"remote": 3}, "remote: expected text, got 3"),
        ("grpc://127.0.0.1:1", {"version": 1}, "version: expected text, got 1"),
        ("https://127.0.0.1:1", {"ca": "no.pem"}, "ca: no.pem cannot be used"),
        ("grpcs://127.0.0.1:1", {"ca": "no.pem"}, "ca: no.pem cannot be used"),
    ],
)
def test_mistakes_name_the_key(device: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=f"'far'.*{told}"):
        engines.create("far", "kserve", device, **options).init()


def test_secrets_are_in_no_message() -> None:
    with pytest.raises(OptionError, match="use the option token") as told:
        engines.create("far", "kserve", "http://user:opensesame@127.0.0.1:1")
    assert "opensesame" not in str(told.value)
    with pytest.raises(OptionError, match="token: expected printable ASCII") as told:
        engines.create("far", "kserve", "http://127.0.0.1:1", token="opensesame\r\nX: y")
    assert "opensesame" not in str(told.value)
    engine = engines.create("far", "kserve", "http://127.0.0.1:1", token="opensesame")
    assert "opensesame" not in f"{engine} {engine.report()} {engine.options}"
    with pytest.raises(EngineUnavailable) as gone:
        engine.init()
    assert "opensesame" not in str(gone.value)


def test_without_its_library_http_works_and_grpc_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, server: serving.Server
) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with engines.create("far", "kserve", server.address("http")) as engine:
        engine.init()
    with pytest.raises(EngineUnavailable, match=r"run: pip install 'sightline\[kserve\]'"):
        engines.create("far", "kserve", server.address("grpc")).init()


@dataclass(frozen=True)
class Certificate:
    """Of 127.0.0.1, signed by itself."""

    path: Path
    key: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    pem = serialization.Encoding.PEM
    made.path.write_bytes(signed.public_bytes(pem))
    made.key.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@contextmanager
def odd_http_server(
    answer: bytes, tls: Certificate | None = None, **headers: str
) -> Iterator[tuple[str, list[str]]]:
    """A server of the protocol that answers each inference with these bytes; and tokens it saw."""
    tokens: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            tokens.append(self.headers.get("Authorization", ""))
            self.answer(json.dumps(TENSORS | {"name": "odd", "ready": True}).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(answer, **headers)

        def answer(self, body: bytes, **headers: str) -> None:
            self.send_response(int(headers.pop("status", "200")))
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.path, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", tokens
        finally:
            server.shutdown()
            thread.join()


def binary(size: int, numbers: bytes, **more: object) -> tuple[bytes, dict[str, str]]:
    """An answer with a binary tensor, and its headers."""
    output = {"name": "y", "datatype": "FP32", "shape": [2], "parameters": {}} | more
    output["parameters"] = {"binary_data_size": size}
    header = json.dumps({"outputs": [output]}).encode()
    return header + numbers, {"Inference-Header-Content-Length": str(len(header))}


def test_http_answers_in_numbers_and_in_bytes() -> None:
    numbers = np.array([1, 2], np.float32)
    for body, headers in ((json.dumps(GOOD).encode(), {}), binary(8, numbers.tobytes())):
        with (
            odd_http_server(body, **headers) as (device, tokens),
            loaded(device, ECHO, token="opensesame") as engine,
        ):
            np.testing.assert_array_equal(run(engine, numbers), numbers)
        assert set(tokens) == {"Bearer opensesame"}


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (b"", {}, "not understood"),
        (b"\xff\x00 garbage", {}, "not understood"),
        (b"[]", {}, "not understood"),
        (b'{"outputs": [{}]}', {}, "not understood"),
        (b'{"outputs": []}', {}, "gave no 'y', but nothing"),
        (json.dumps(GOOD).encode() + b"}", {}, "not understood"),
        (json.dumps(GOOD).replace("[2]", "[3]").encode(), {}, "not understood"),
        (json.dumps(GOOD).replace("FP32", "FP64").encode(), {}, "expected y: float32.2., got fl"),
        (json.dumps(GOOD).replace("FP32", "BYTES").encode(), {}, "'BYTES' cannot be exchanged"),
        (*binary(8, b"1234"), "ended in the middle"),
        (*binary(8, b"123456789"), "there is more of it"),
        (*binary(12, b"123456789abc"), "12 bytes for y: float32.2."),
        (*binary(2**40, b"", shape=[2**38]), "bytes for y"),
        (*binary(12, b"123456789abc", shape=[3]), "expected y: float32.2., got float32.3."),
        (*binary(8, b"12345678", shape=[-1, -2]), "not understood"),
        (b"{}", {"Inference-Header-Content-Length": "much"}, "not understood"),
        (b'{"error": "out of\\n memory"}', {"status": "500"}, "HTTP 500: .*out of"),
        (b"", {"Content-Length": "9"}, "no answer within 0.3 s"),
        (b"xx\r\n", {"Transfer-Encoding": "chunked"}, "does not speak HTTP"),
    ],
)
def test_nonsense_over_http_is_an_error(body: bytes, headers: dict[str, str], told: str) -> None:
    with (
        odd_http_server(body, **headers) as (device, _),
        pytest.raises(ForwardError, match=f"'far'.*{told}"),
    ):
        load(device, ECHO, answer_s=0.3)


class OddServicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A server of the protocol that answers each inference with this."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.tokens: list[str] = []

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - of the protocol
        return service_pb2.ServerMetadataResponse(name="odd")

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelMetadataResponse(**TENSORS)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.version != "9")

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        return service_pb2.ModelInferResponse(**self.answer)


@contextmanager
def odd_grpc_server(
    answer: dict[str, Any], tls: Certificate | None = None
) -> Iterator[tuple[str, list[str]]]:
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        servicer = OddServicer(answer)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        if tls:
            pair = (tls.key.read_bytes(), tls.path.read_bytes())
            port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"{'grpcs' if tls else 'grpc'}://127.0.0.1:{port}", servicer.tokens
        finally:
            server.stop(None).wait()


def grpc_answer(datatype: str = "FP32", *raw: bytes, **contents: list[float]) -> dict[str, Any]:
    output = {"name": "y", "datatype": datatype, "shape": [2], "contents": contents}
    return {"outputs": [output], "raw_output_contents": raw}


def test_grpc_answers_in_numbers_and_in_bytes() -> None:
    numbers = np.array([1, 2], np.float32)
    for answer in (grpc_answer(fp32_contents=[1, 2]), grpc_answer("FP32", numbers.tobytes())):
        with odd_grpc_server(answer) as (device, tokens):
            with loaded(device, ECHO, token="opensesame") as engine:
                np.testing.assert_array_equal(run(engine, numbers), numbers)
            assert set(tokens) == {"Bearer opensesame"}
            with pytest.raises(ProgramError, match="model echo is not ready"):
                load(device, ECHO, version="9")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({}, r"gave no 'y', but nothing"),
        (grpc_answer(), "not understood"),
        (grpc_answer(fp32_contents=[1, 2, 3]), "not understood"),
        (grpc_answer("FP32", b"1234567"), "not understood"),
        (grpc_answer("FP32", b"1234", b"5678"), "1 outputs and 2 raw contents"),
        (grpc_answer("FP16", b"1234"), r"expected y: float32.2., got float16.2."),
        (grpc_answer("FP16"), "not understood"),
        (grpc_answer("BYTES", b"1234"), "'BYTES' cannot be exchanged"),
    ],
)
def test_nonsense_over_grpc_is_an_error(answer: dict[str, Any], told: str) -> None:
    with (
        odd_grpc_server(answer) as (device, _),
        pytest.raises(ForwardError, match=f"'far'.*{told}"),
    ):
        load(device, ECHO)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_over_tls_only_a_trusted_server_is_taken(protocol: str, certificate: Certificate) -> None:
    numbers = np.array([1, 2], np.float32)
    server = (
        odd_http_server(json.dumps(GOOD).encode(), certificate)
        if protocol == "http"
        else odd_grpc_server(grpc_answer(fp32_contents=[1, 2]), certificate)
    )
    with server as (device, _):
        with loaded(device, ECHO, ca=str(certificate.path)) as engine:
            np.testing.assert_array_equal(run(engine, numbers), numbers)
        with pytest.raises(EngineUnavailable, match=r"(?i)certificate"):
            load(device, ECHO)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_something_else_behind_the_port(protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"220 mail.example ESMTP\r\n" * 10)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(EngineUnavailable, match="no server of KServe's protocol, version 2"):
            engines.create("far", "kserve", f"{protocol}://127.0.0.1:{port}", answer_s=2).init()
        thread.join()


def test_an_answer_that_trickles_is_bounded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        done = threading.Event()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                while not done.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with pytest.raises(EngineUnavailable, match=r"no answer within 0.5 s"):
                engines.create("far", "kserve", f"http://127.0.0.1:{port}", answer_s=0.5).init()
        finally:
            done.set()
            thread.join()

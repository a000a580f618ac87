"""A package of a small network, and a web server whose faults a test chooses."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

import engines

BIAS = np.array([1, 2, 3, 4, 0.5, 0.25, 0.75], np.float32)


@dataclass
class Package:
    """A folder with a model and its manifest, which a test may change before writing it again."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.folder / "model.yaml"

    @property
    def weights(self) -> Path:
        return self.folder / "tiny.onnx"

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.manifest, sort_keys=False))


def save_network(path: Path) -> None:
    """images (1, 3, 16, 32) → their mean + BIAS as one YOLOv5 row a cell: (1, 8, 7)."""
    mean = helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0)
    shape = numpy_helper.from_array(np.array([1, 1, 1], np.int64), "one")
    expand = numpy_helper.from_array(np.tile(BIAS, (1, 8, 1)), "bias")
    graph = helper.make_graph(
        [
            mean,
            helper.make_node("Reshape", ["mean", "one"], ["level"]),
            helper.make_node("Add", ["level", "bias"], ["output"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 16, 32])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 8, 7])],
        [shape, expand],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A right and complete package."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_network(folder / "tiny.onnx")
    content = (folder / "tiny.onnx").read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 32), dtype=np.uint8)
    with engines.create("golden", "onnxruntime") as engine:
        engine.init()
        engine.prepare(engines.Network(folder / "tiny.onnx", "onnx"))
        engine.set_tensor("images", image.astype(np.float32))
        engine.forward()
        np.savez(folder / "vector.npz", images=image, output=engine.get_tensor("output"))
    manifest = {
        "schema": 1,
        "name": "tiny",
        "task": "detect",
        "licence": "Apache-2.0",
        "source": "made by this test",
        "labels": ["person", "car"],
        "files": [
            {
                "path": "tiny.onnx",
                "format": "onnx",
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        ],
        "inputs": [
            {"name": "images", "shape": [1, 3, 16, 32], "dtype": "float32", "layout": "nchw"}
        ],
        "outputs": [{"name": "output", "shape": [1, 8, 7], "dtype": "float32"}],
        "preprocess": {"resize": "stretch"},
        "head": {"family": "yolov5"},
        "test_vector": {"path": "vector.npz", "atol": 1e-3},
    }
    made = Package(folder, manifest)
    made.write()
    return made


@dataclass
class Web:
    """A web server on loopback.

    Attributes:
        url: of its root.
        files: content by path, with the leading slash.
        ranges: whether it answers requests for a part with that part.
        break_after: bytes after which each of the next connections ends, one entry each.
        asked: the Range header of each request so far.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Web]:
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.asked.append(asked)
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0) if state.ranges else 0
            if start:
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            part = content[start:]
            if state.break_after:
                part = part[: state.break_after.pop(0)]
            self.wfile.write(part)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()

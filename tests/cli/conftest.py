"""The command as a function, and a network small enough for a test."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from pipeline.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def sightline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Runs ``sightline ARGS`` in this process, in an empty folder, and gives what it left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["sightline", *map(str, args)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        code = caught.value.code
        assert isinstance(code, int | None)
        return Result(code or 0, captured.out, captured.err)

    return run


@dataclass(frozen=True)
class Package:
    """A model package whose network gives the same YOLOX output for every picture."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def network(self) -> Path:
        return self.folder / "tiny.onnx"

    def change(self, **keys: object) -> None:
        """Writes other values into the manifest."""
        path = self.folder / "model.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


@pytest.fixture
def package(tmp_path: Path) -> Callable[[float], Package]:
    """Makes a package whose network puts out one number everywhere."""

    def make(value: float = 0.0) -> Package:
        folder = tmp_path / "models" / "tiny"
        folder.mkdir(parents=True)
        network = _network(np.full((1, 21, 6), value, np.float32))
        (folder / "tiny.onnx").write_bytes(network)
        manifest = {
            "schema": 1,
            "name": "tiny",
            "task": "detect",
            "licence": "Apache-2.0",
            "source": "this test",
            "labels": ["person"],
            "files": [
                {
                    "path": "tiny.onnx",
                    "format": "onnx",
                    "size": len(network),
                    "sha256": hashlib.sha256(network).hexdigest(),
                }
            ],
            "inputs": [
                {"name": "images", "shape": [1, 3, 32, 32], "dtype": "float32", "layout": "nchw"}
            ],
            "outputs": [{"name": "output", "shape": [1, 21, 6], "dtype": "float32"}],
            "preprocess": {},
            "head": {"family": "yolox"},
        }
        (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
        return Package(folder)

    return make


def _network(output: np.ndarray) -> bytes:
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["constant", "nothing"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(output.shape))],
        [
            numpy_helper.from_array(output, "constant"),
            numpy_helper.from_array(np.zeros((), np.float32), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture
def street(tmp_path: Path, package: Callable[[float], Package]) -> Path:
    """A configuration that runs: six pictures, the small network, tracks into a file."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(6):
        cv2.imwrite(str(pictures / f"{index}.png"), np.full((48, 64, 3), index * 30, np.uint8))
    path = tmp_path / "street.yaml"
    path.write_text(
        "cameras:\n"
        "  - {id: gate, uri: pictures}\n"
        "stages:\n"
        f"  detect: {{model: {package(0.0)}, workers: 2}}\n"
        "outputs:\n"
        "  - {file: {path: out/tracks.jsonl}}\n"
    )
    return path

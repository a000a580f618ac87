"""Backends by name, their options, and those of other packages."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import engines
import pipeline
from engines import EngineUnavailable, Kernel, OptionError
from tests.engines import serving
from tests.engines.subjects import subjects


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"backend": "onnxrutime"}, "no backend 'onnxrutime' .did you mean 'onnxruntime'"),
        ({"backend": "abacus"}, "no backend 'abacus'; there are onnxruntime, "),
        ({"backend": "onnxruntime", "thread": 2}, "'cpu0'.*'thread' .did you mean 'threads'"),
        ({"backend": "onnxruntime", "threads": "two"}, "'cpu0': threads: expected a whole number"),
        ({"backend": "onnxruntime", "threads": -1}, "threads: expected a whole number"),
        ({"backend": "onnxruntime", "threads": True}, "threads: expected a whole number"),
        ({"backend": "onnxruntime", "spinning": 1}, "spinning: expected true or false"),
        ({"backend": "host", "threads": 2}, "no option 'threads'; it has none"),
        ({"backend": "opencv", "threads": -1}, "threads: expected a whole number"),
    ],
)
def test_mistakes_name_the_remedy(arguments: dict[str, object], told: str) -> None:
    backend = arguments.pop("backend")
    with pytest.raises(OptionError, match=told):
        engines.create("cpu0", backend, **arguments)


def test_a_device_that_no_backend_has() -> None:
    with pytest.raises(OptionError, match="no such device; there are cpu, cuda"):
        engines.create("x", "onnxruntime", "quantum").init()


def test_describe_lists_what_is_there() -> None:
    found = {info.name: info for info in engines.describe()}
    assert {"onnxruntime", "opencv"} <= set(found)
    assert "cpu" in found["onnxruntime"].devices
    assert found["onnxruntime"].version
    assert not found["onnxruntime"].missing
    assert found["opencv"].kernels == ("hog-people",)


def test_a_missing_library_is_told_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    info = next(info for info in engines.describe() if info.name == "onnxruntime")
    assert info.missing
    assert info.install == "pip install onnxruntime"
    with pytest.raises(EngineUnavailable, match="run: pip install onnxruntime"):
        engines.create("cpu0", "onnxruntime").init()


def test_able_names_the_backends_for_a_program() -> None:
    assert engines.able(Kernel("hog-people")) == ("opencv",)


TOY = '''
import numpy as np
from engines.base import BackendInfo, Engine

class ToyEngine(Engine):
    """Sees everywhere what its file says: one object."""
    backend = "toy"
    formats = ("toy",)

    @classmethod
    def describe(cls):
        return BackendInfo("toy", "1.0", ("cpu",), ("float32",), cls.formats, (), "", "")

    def _init(self):
        pass

    def _prepare(self, program):
        self._boxes = np.loadtxt(program.path, dtype=np.float32).reshape(1, 1, 4)
        return program.inputs, program.outputs

    def _forward(self, inputs):
        return {"boxes": self._boxes.copy(), "scores": np.ones((1, 1), np.float32)}
'''
MANIFEST = """
schema: 1
name: toy-box
task: detect
licence: Apache-2.0
source: written by hand
labels: [thing]
files:
- {path: box.toy, format: toy, size: %d, sha256: %s}
inputs:
- {name: image, shape: [1, 3, 36, 64], dtype: float32, layout: nchw}
outputs:
- {name: boxes, shape: [1, -1, 4], dtype: float32}
- {name: scores, shape: [1, -1], dtype: float32}
preprocess: {resize: stretch}
head: {family: boxes, boxes: boxes, scores: scores}
"""
CONFIG = """
cameras: [{id: a, uri: "rendered:day?seconds=0.4&size=128x72"}]
engines: {t0: {backend: toy}}
stages: {detect: {model: "%s"}}
outputs: []
"""


@pytest.fixture
def toy_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else's, installed in a folder of its own."""
    (tmp_path / "toy_backend.py").write_text(TOY)
    metadata = tmp_path / "toy_backend-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-backend\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[sightline.engines]\ntoy = toy_backend:ToyEngine\nbroken = toy_backend:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("toy_package")
def test_another_package_brings_a_backend_and_a_pipeline_runs_on_it(tmp_path: Path) -> None:
    assert "toy" in engines.names()
    folder = tmp_path / "toy-box"
    folder.mkdir()
    (folder / "box.toy").write_bytes(b"16 9 48 27")
    digest = hashlib.sha256(b"16 9 48 27").hexdigest()
    (folder / "model.yaml").write_text(MANIFEST % (10, digest))
    graph = pipeline.build(pipeline.loads(CONFIG % folder))
    frames = list(pipeline.stream(graph))
    assert len(frames) == 10
    for frame in frames:
        assert frame.engine == "t0"
        np.testing.assert_allclose(frame.payload.detections.boxes_xyxy, [[32, 18, 96, 54]])
    assert len(frames[-1].payload.tracks) == 1


@pytest.mark.usefixtures("toy_package")
def test_a_broken_package_hurts_only_itself() -> None:
    with pytest.raises(EngineUnavailable, match="backend broken: its package does not load"):
        engines.create("b0", "broken")
    assert next(info for info in engines.describe() if info.name == "broken").missing


def test_the_engines_this_run_must_have_are_here() -> None:
    """CI names the engines it has installed, so that none is skipped because it broke."""
    here = {info.name: info.missing for info in engines.describe()}
    required = os.environ.get("SIGHTLINE_REQUIRED_ENGINES", "onnxruntime opencv").split()
    assert {name: here.get(name, "no such backend") for name in required} == dict.fromkeys(
        required, ""
    )
    assert set(required) <= {subject.backend for subject in subjects()}, serving.missing()

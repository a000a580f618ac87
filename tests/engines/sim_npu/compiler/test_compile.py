"""From a file to an artefact that the runtime's arithmetic takes."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.errors import ProgramError, TensorError
from engines.sim_npu import artefact, profiles
from engines.sim_npu.compiler.compile import compile_network
from engines.sim_npu.runtime.program import DeviceProgram
from tests.conftest import REPOSITORY
from tests.engines.sim_npu.compiler import drawn
from tests.engines.sim_npu.compiler.running import run

NNIE = profiles.find("hi3559a-nnie")
PICO = REPOSITORY / "models" / "street-pico"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    drawing = drawn.Drawing(2)
    for name in ("conv", "silu", "conv", "relu"):
        getattr(drawing, name)()
    onnx.save(drawing.model(), tmp_path / "small.onnx")
    return tmp_path / "small.onnx"


@pytest.mark.parametrize("rounding", ["fixed", "float"])
def test_the_shipped_detector(tmp_path: Path, rounding: str) -> None:
    vector = np.load(PICO / "test_vector.npz")
    image = vector["images"].astype(np.float32)
    path, feeds = PICO / "street-pico.onnx", [{"images": image}]
    made = compile_network(path, NNIE, feeds, rounding=rounding, probes=feeds)
    artefact.write(made, tmp_path / "pico.slnpu")
    found = artefact.read(tmp_path / "pico.slnpu")
    assert found.source_sha256 == sha256(path.read_bytes()).hexdigest()
    assert (found.inputs, found.outputs) == (("images",), ("output",))
    assert found.profile_sha256 == NNIE.digest
    device, host = found.segments
    assert device.on_device
    assert not host.on_device
    program = DeviceProgram(found, device)
    assert program.cycles == sum(layer["cycles"] for layer in found.report["layers"])
    assert program.size <= NNIE.memory_bytes
    real = run(found, feeds[0])["output"]
    noise = np.linalg.norm(real - vector["output"]) / np.linalg.norm(vector["output"])
    told = next(loss for loss in found.report["losses"] if loss["tensor"] == "output")
    assert -20 * np.log10(noise) == pytest.approx(told["snr_db"], abs=0.5)


def test_the_report_is_plain(network: Path) -> None:
    feeds = [drawn.image(seed) for seed in range(3)]
    made = compile_network(network, NNIE, iter(feeds), method="entropy", probes=feeds[:1])
    report = json.loads(json.dumps(made.report, allow_nan=False))
    assert report["calibration"] == "entropy"
    assert [layer["operator"] for layer in report["layers"]] == ["conv", "lookup", "conv"]
    assert not report["host"]
    assert report["bytes_copied"] == sum(cut["bytes"] for cut in report["cuts"])


def test_what_cannot_be_compiled(network: Path) -> None:
    with pytest.raises(ProgramError, match="hi3559a-mali computes in fp16: expected one that"):
        compile_network(network, profiles.find("hi3559a-mali"), [drawn.image()])
    with pytest.raises(TensorError, match="there are none"):
        compile_network(network, NNIE, [])
    with pytest.raises(TensorError, match="expected inputs image, got picture"):
        compile_network(network, NNIE, [{"picture": drawn.image()["image"]}])
    with pytest.raises(TensorError, match=r"expected image: float32\[1, 4, 8, 8\], got float32"):
        compile_network(network, NNIE, [{"image": np.zeros((1, 4, 4, 4), np.float32)}])
    with pytest.raises(TensorError, match="all inputs are black"):
        compile_network(network, NNIE, [{"image": np.zeros(drawn.SHAPE, np.float32)}])
    network.write_bytes(network.read_bytes()[:100])
    with pytest.raises(ProgramError, match="not a valid ONNX network"):
        compile_network(network, NNIE, [drawn.image()])


def test_the_compiler_does_not_know_the_runtime() -> None:
    sources = list((REPOSITORY / "engines" / "sim_npu" / "compiler").rglob("*.py"))
    assert sources
    assert not [path for path in sources if "sim_npu.runtime" in path.read_text(encoding="utf-8")]

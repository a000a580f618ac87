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
from engines.sim_npu.compiler.compile import Choice, compile_network, finish, prepare
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
    told = next(one for one in found.report["inspection"] if one["tensor"] == "output")
    assert -20 * np.log10(noise) == pytest.approx(told["snr_db"], abs=0.5)


def test_the_report_is_plain(network: Path) -> None:
    feeds = [drawn.image(seed) for seed in range(3)]
    made = compile_network(network, NNIE, iter(feeds), method="entropy", probes=feeds[:1])
    report = json.loads(json.dumps(made.report, allow_nan=False))
    assert report["choice"] == {
        "method": "entropy",
        "per_channel": True,
        "rounding": "fixed",
        "keep_float": [],
    }
    assert report["device_s"] == sum(one["cycles"] for one in report["layers"]) / NNIE.clock_hz
    assert 0 < report["attained"] < 1
    assert [layer["operator"] for layer in report["layers"]] == ["conv", "lookup", "conv"]
    assert not report["host"]
    assert report["bytes_copied"] == sum(cut["bytes"] for cut in report["cuts"])


def test_one_preparation_serves_every_choice(network: Path, tmp_path: Path) -> None:
    feeds = [drawn.image(seed) for seed in range(3)]
    prepared = prepare(network, feeds)
    kept = prepared.model.graph.node[0].name or prepared.model.graph.node[0].output[0]
    choices = [
        Choice(),
        Choice("percentile"),
        Choice(per_channel=False),
        Choice(rounding="float"),
        Choice(keep_float=frozenset([kept])),
    ]
    contents = []
    for number, choice in enumerate(choices):
        path = tmp_path / f"{number}.slnpu"
        artefact.write(finish(prepared, NNIE, choice), path)
        contents.append(path.read_bytes())
        asked = {name: getattr(choice, name) for name in choice.__dataclass_fields__}
        artefact.write(compile_network(network, NNIE, feeds, **asked), path)
        assert path.read_bytes() == contents[-1]  # nothing of the time or the place is in it
    assert len(set(contents)) == len(choices)


@pytest.mark.parametrize("name", ["hi3559a-mali", "hi3559a-cpu"])
def test_a_device_that_computes_in_floats(network: Path, name: str) -> None:
    feeds, profile = [drawn.image(seed) for seed in range(2)], profiles.find(name)
    made = compile_network(network, profile, feeds, probes=feeds)
    assert not made.tensors
    assert [segment.on_device for segment in made.segments] == [True]
    assert made.report["choice"]["method"] == profile.precision
    assert {cut["change"] for cut in made.report["cuts"]} == {""}
    assert made.report["bytes_copied"] >= 4 * feeds[0]["image"].size
    assert "inspection" not in made.report


def test_a_network_that_is_all_for_the_host_is_refused(tmp_path: Path) -> None:
    drawing = drawn.Drawing(2)
    drawing.conv()
    onnx.save(drawing.model(), tmp_path / "small.onnx")
    prepared = prepare(tmp_path / "small.onnx", [drawn.image()])
    kept = frozenset(prepared.model.graph.node[0].output)
    with pytest.raises(ProgramError, match=r"no layer of it can run on the device:\n  Conv"):
        finish(prepared, NNIE, Choice(keep_float=kept))


def test_what_cannot_be_compiled(network: Path) -> None:
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

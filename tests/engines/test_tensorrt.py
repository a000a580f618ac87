"""TensorRT: what it says where something is missing; on a GPU, that it gives what the CPU gives."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import engines
from engines import EngineUnavailable, Network, OptionError, ProgramError
from engines.convert.tensorrt import convert
from engines.tensorrt import TensorRtEngine
from pipeline.models.package import load_model
from tests.engines.subjects import expected_features, picture, small_network

INFO = TensorRtEngine.describe()
without = pytest.mark.skipif(not INFO.missing, reason="TensorRT and a GPU are here")


def with_gpu(test: object) -> object:
    skip = pytest.mark.skipif(bool(INFO.missing), reason=f"no TensorRT: {INFO.missing}")
    return pytest.mark.gpu(skip(test))


def library(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """A TensorRT of which the version is all that is looked at before a GPU is found."""
    fake = ModuleType("tensorrt")
    fake.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", fake)


@without
def test_describe_names_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    info = TensorRtEngine.describe()
    assert info.version == ""
    assert info.devices == ()
    assert "tensorrt" in info.missing
    assert "cuda" in info.missing
    assert info.install == "pip install 'sightline[tensorrt]'"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineUnavailable, match=r"'g0'.*tensorrt.*run: pip install 'sightline\["):
        engines.create("g0", "tensorrt", "cuda:0").init()


def test_with_a_library_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, "8.6.1")
    with pytest.raises(EngineUnavailable, match=r"expected TensorRT 10 or later, found 8\.6\.1"):
        engines.create("g0", "tensorrt", "cuda:0").init()


@without
def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's own words say whether the driver or the device is missing."""
    pytest.importorskip("cuda.bindings.runtime")
    library(monkeypatch, "10.16.1")
    with pytest.raises(EngineUnavailable) as caught:
        engines.create("g0", "tensorrt", "cuda:0").init()
    assert "'g0'" in str(caught.value)
    assert "no GPU: cudaGetDeviceCount: " in str(caught.value)
    assert "install NVIDIA's driver" in str(caught.value)
    assert "tensorrt'" not in str(caught.value), "the library is not what is missing"


@pytest.mark.parametrize("device", ["cpu", "gpu", "cuda:x"])
def test_a_device_it_does_not_offer(device: str) -> None:
    with pytest.raises(OptionError, match="no such device; there are cuda:0"):
        engines.create("g0", "tensorrt", device).init()


@pytest.mark.parametrize("option", [{"max_batch": 0}, {"workspace_mb": "1"}, {"max_batch": True}])
def test_options_are_checked(option: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(option))}: expected a whole number"):
        engines.create("g0", "tensorrt", "cuda:0", **option)


@without
def test_converting_needs_what_running_needs(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="'builder'"):
        convert(small_network(tmp_path), tmp_path, "fp32")


def run(network: Network, image: np.ndarray, precision: str = "") -> np.ndarray:
    with engines.create("g0", "tensorrt", "cuda:0", precision) as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor(engine.inputs[0].name, image)
        engine.forward()
        return engine.get_tensor(engine.outputs[0].name)


@with_gpu
@pytest.mark.parametrize(("precision", "atol"), [("", 1e-4), ("fp16", 0.02)])
def test_on_a_gpu(tmp_path: Path, precision: str, atol: float) -> None:
    found = run(small_network(tmp_path, batch=-1), picture(batch=3), precision)
    np.testing.assert_allclose(found, expected_features(picture(batch=3)), atol=atol)


@with_gpu
def test_a_plan_on_a_gpu(tmp_path: Path) -> None:
    made = convert(small_network(tmp_path), tmp_path, "fp32")
    np.testing.assert_allclose(run(made, picture()), expected_features(picture()), atol=1e-4)
    made.path.write_bytes(made.path.read_bytes()[:500])
    with pytest.raises(ProgramError, match=r"convolution\.plan \(500 bytes\): not a plan"):
        run(made, picture())


@with_gpu
def test_a_shipped_network_on_a_gpu() -> None:
    network = load_model("street-pico").program
    assert isinstance(network, Network)
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 288, 512)).astype(np.float32)
    found = run(network, image)
    with engines.create("c0", "onnxruntime") as engine:
        engine.init()
        engine.prepare(network)
        engine.set_tensor("images", image)
        engine.forward()
        expected = engine.get_tensor("output")
    assert np.abs(found - expected).max() <= TensorRtEngine.tolerance * np.abs(expected).max()


@with_gpu
def test_a_free_height_must_be_declared(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="TensorRT takes a free batch only"):
        run(small_network(tmp_path, height=-1), picture())

"""What only ONNX Runtime does: declared against real tensors, shared sessions, no fallback."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import engines
from engines import EngineUnavailable, Network, ProgramError, TensorSpec, nvidia
from engines.onnxruntime import OnnxRuntimeEngine
from tests.engines.subjects import IMAGE, small_network, specs

POSITIVE = specs()[1][1]


def prepare(network: Network, **options: object) -> engines.Engine:
    engine = engines.create("cpu0", "onnxruntime", **options)
    engine.init()
    engine.prepare(network)
    return engine


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (
            {"inputs": (replace(IMAGE, name="images"),)},
            r"expected input images: float32\[1, 3, 8, 10\] nchw, found image: float32",
        ),
        (
            {"inputs": (replace(IMAGE, shape=(1, 3, 416, 416)),)},
            r"expected input image: float32\[1, 3, 416, 416\] nchw, found image: float32\[1, 3, 8",
        ),
        (
            {"inputs": (replace(IMAGE, dtype=np.dtype("uint8")),)},
            r"expected input image: uint8\[.*found image: float32",
        ),
        (
            {"outputs": (replace(POSITIVE, shape=(1, 4, 80)),)},
            r"expected output positive: float32\[1, 4, 80\], found positive: float32\[1, 4, 8, 10",
        ),
    ],
)
def test_a_network_that_is_not_as_declared(
    network: Network, declared: dict[str, tuple[TensorSpec, ...]], told: str
) -> None:
    with pytest.raises(ProgramError, match=told) as caught:
        prepare(replace(network, **declared))
    assert str(network.path) in str(caught.value)


def test_an_input_nobody_declared(network: Network) -> None:
    other = replace(IMAGE, name="other")
    with pytest.raises(ProgramError, match="expected input other"):
        prepare(replace(network, inputs=(IMAGE, other)))


def test_undeclared_tensors_come_from_the_file(network: Network) -> None:
    with prepare(replace(network, inputs=(), outputs=())) as engine:
        assert engine.inputs == (replace(IMAGE, layout=""),)
        assert [spec.name for spec in engine.outputs] == ["features", "positive"]


def test_a_declaration_narrows_free_axes(tmp_path: Path) -> None:
    path = small_network(tmp_path, batch=-1).path
    with prepare(Network(path, "onnx", (IMAGE,), (POSITIVE,))) as engine:
        assert engine.inputs[0].shape == (1, 3, 8, 10)
        assert engine.outputs[0].shape == (1, 4, 8, 10)


def test_same_file_and_options_share_one_session(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *a, **k: loads.append(a) or real(*a, **k)
    )
    first, second = prepare(network), prepare(network)
    assert len(loads) == 1
    prepare(network, threads=2).destroy()
    assert len(loads) == 2, "other options, another session"
    first.destroy()
    second.set_tensor("image", np.zeros(IMAGE.shape, np.float32))
    second.forward()
    second.destroy()
    prepare(network).destroy()
    assert len(loads) == 3, "the last user took the session with it"


def test_a_changed_file_is_loaded_again(network: Network) -> None:
    with prepare(network):
        small_network(network.path.parent, batch=-1)
        with prepare(replace(network, inputs=(), outputs=())) as again:
            assert again.inputs[0].shape[0] == -1


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "openvino"])
def test_a_provider_that_is_not_there_is_an_error(device: str) -> None:
    info = next(info for info in engines.describe() if info.name == "onnxruntime")
    if device in info.devices or f"{device}:0" in info.devices:
        pytest.skip(f"this machine has {device}")
    engine = engines.create("gpu0", "onnxruntime", device)
    told = r"has no \w+ExecutionProvider.*run: pip uninstall|no such GPU.*install NVIDIA's driver"
    with pytest.raises(EngineUnavailable, match=f"'gpu0'.*({told})"):
        engine.init()


@pytest.fixture
def cuda_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime for CUDA as it is on a machine whose driver finds one GPU."""
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(nvidia, "gpu_memory", lambda: (2**34,))


def refused_on_gpu(network: Network) -> str:
    with engines.create("gpu0", "onnxruntime", "cuda:0") as engine:
        engine.init()
        with pytest.raises(EngineUnavailable) as caught:
            engine.prepare(network)
    return str(caught.value)


@pytest.mark.usefixtures("cuda_wheel")
def test_a_provider_that_falls_back_is_an_error(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CUDA wheel on a machine without CUDA: listed as available, yet the CPU gets the work."""
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, settings, **k: real(path, settings)
    )
    told = refused_on_gpu(network)
    assert "CUDAExecutionProvider did not start" in told
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[" in told


@pytest.mark.usefixtures("cuda_wheel")
def test_a_driver_that_is_too_old_is_not_the_networks_fault(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("device_id: CUDA failure 35: driver is too old ; GPU=-1 ; line=70 ;")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    told = refused_on_gpu(network)
    assert "'gpu0'" in told
    assert "CUDA failure 35: driver is too old; install NVIDIA's driver" in told


@pytest.mark.usefixtures("cuda_wheel")
def test_devices_are_those_the_driver_finds() -> None:
    info = next(info for info in engines.describe() if info.name == "onnxruntime")
    assert info.devices == ("cpu", "cuda:0")
    with pytest.raises(EngineUnavailable, match=r"no such GPU; the driver finds 1, from cuda:0 on"):
        engines.create("gpu0", "onnxruntime", "cuda:1").init()


CUDA = "cuda:0" in OnnxRuntimeEngine.describe().devices


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="no ONNX Runtime for CUDA here, or no GPU")
def test_a_gpu_computes_in_fp32_by_the_same_algorithms_each_time(network: Network) -> None:
    with engines.create("gpu0", "onnxruntime", "cuda:0") as engine:
        engine.init()
        engine.prepare(network)
        options = engine._session.get_provider_options()["CUDAExecutionProvider"]
        assert engine.report()["providers"][0] == "CUDAExecutionProvider"
    assert options["use_tf32"] == "0"
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"


@pytest.mark.assets
def test_threads_do_not_change_a_byte(assets: Path) -> None:
    path = assets / "models/yolox_nano/yolox_nano_opencv_zoo.onnx"
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)
    results = []
    for threads in (1, 2):
        with prepare(Network(path, "onnx"), threads=threads) as engine:
            engine.set_tensor("images", image)
            engine.forward()
            results.append(engine.get_tensor("output").tobytes())
    assert results[0] == results[1]


SILENT = """
import os, sys
from pathlib import Path
import engines
with engines.create("e", "onnxruntime") as engine:
    engine.init()
    engine.prepare(engines.Network(Path(sys.argv[1]), "onnx"))
    for file in Path("/proc/self/fd").iterdir():
        if os.path.exists(file):
            print(os.readlink(file))
"""


def test_it_keeps_no_book_of_what_it_runs(network: Network) -> None:
    """The events that ONNX Runtime would send wait in a database in the user's cache."""
    told = subprocess.run(
        [sys.executable, "-c", SILENT, network.path], capture_output=True, text=True, check=True
    )
    assert "onnxruntime.db" not in told.stdout

"""What only OpenVINO does: precision that is said and read back, shared networks, its devices."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import EngineUnavailable, Network, OptionError, ProgramError
from engines.convert import convert
from engines.openvino import library
from pipeline.models.package import load_model
from tests.engines.subjects import expected_features, picture, small_network

pytest.importorskip("openvino")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return small_network(tmp_path)


def prepare(network: Network, precision: str = "", **options: object) -> engines.Engine:
    engine = engines.create("ov0", "openvino", precision=precision, **options)
    engine.init()
    engine.prepare(network)
    return engine


def features(engine: engines.Engine, image: np.ndarray) -> np.ndarray:
    engine.set_tensor("image", image)
    engine.forward()
    return engine.get_tensor("features")


def can(capability: str) -> bool:
    return capability in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_importing_it_starts_no_telemetry() -> None:
    script = (
        "import sys; from engines.openvino import library; library().Core();"
        "print([name for name in sys.modules if 'telemetry' in name or '.ovc' in name])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


def test_fp32_runs_every_operator_in_f32() -> None:
    package = load_model("street-pico")
    assert isinstance(package.program, Network)
    with prepare(package.program) as engine:
        operators = engine.report()["operators"]
    assert set(operators) <= {"f32", "i32", "i64", "u8"}
    assert operators["f32"] > 50


def test_bf16_runs_in_bf16_only_where_asked() -> None:
    if not can("BF16"):
        pytest.skip("this CPU does not compute in bf16")
    package = load_model("street-pico")
    assert isinstance(package.program, Network)
    with prepare(package.program, "bf16") as engine:
        report = engine.report()
    assert report["precision"] == "bf16"
    assert report["operators"]["bf16"] > 20


@pytest.mark.parametrize(("precision", "capability"), [("bf16", "BF16"), ("fp16", "FP16")])
def test_a_precision_the_device_lacks_is_refused(
    network: Network, precision: str, capability: str
) -> None:
    """Asked for fp16 on a CPU without, OpenVINO itself would take bf16 and say nothing."""
    if can(capability):
        pytest.skip(f"this CPU computes in {precision}")
    with pytest.raises(EngineUnavailable, match=f"{precision} is asked for.*computes in fp32"):
        prepare(network, precision)


@pytest.mark.parametrize("device", ["gpu", "gpu:1", "npu"])
def test_a_device_that_is_not_there(device: str) -> None:
    name = device.upper().replace(":", ".")
    if any(found.startswith(name) for found in library().Core().available_devices):
        pytest.skip(f"this machine has {device}")
    engine = engines.create("ov0", "openvino", device)
    with pytest.raises(EngineUnavailable, match=rf"finds no {name}.*it finds CPU.*needs Intel's"):
        engine.init()


@pytest.mark.parametrize("device", ["auto", "hetero", "gpu:x", "cuda:0"])
def test_a_device_it_does_not_offer(device: str) -> None:
    with pytest.raises(OptionError, match="no such device; there are cpu, gpu, npu"):
        engines.create("ov0", "openvino", device).init()


@pytest.mark.parametrize("option", [{"threads": -1}, {"threads": True}, {"streams": 1.5}])
def test_options_are_checked(option: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(option))}: expected a whole number"):
        engines.create("ov0", "openvino", **option)


def test_same_file_and_options_share_one_network(network: Network) -> None:
    one, two, other = prepare(network), prepare(network), prepare(network, threads=2)
    assert one._network is two._network
    assert one._request is not two._request
    assert other._network is not one._network
    one.destroy()
    np.testing.assert_allclose(features(two, picture()), expected_features(picture()), atol=1e-5)


def test_two_engines_that_share_run_at_the_same_time(network: Network) -> None:
    """Each stream is a thread of its own: as many as the machine has cores for."""
    with prepare(network) as one, prepare(network) as two:
        streams = one._network.get_property("NUM_STREAMS")
        assert streams == one._network.get_property("INFERENCE_NUM_THREADS")
        assert one._network.get_property("ENABLE_CPU_PINNING") is False
        found: dict[int, list[np.ndarray]] = {}

        def work(number: int, engine: engines.Engine) -> None:
            found[number] = [features(engine, picture(n)) for n in range(number, 100, 2)]

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number, results in found.items():
        for n, result in zip(range(number, 100, 2), results, strict=True):
            np.testing.assert_allclose(result, expected_features(picture(n)), atol=1e-5)


def test_declared_lengths_take_the_place_of_free_axes(tmp_path: Path, network: Network) -> None:
    free = small_network(tmp_path / "free", batch=-1, height=-1, width=-1)
    with prepare(replace(network, path=free.path)) as engine:
        assert engine._network.inputs[0].partial_shape.is_static
        np.testing.assert_allclose(
            features(engine, picture()), expected_features(picture()), atol=1e-5
        )


def test_a_network_in_memory(network: Network) -> None:
    content = network.path.read_bytes()
    network.path.unlink()
    with prepare(replace(network, content=content)) as engine:
        np.testing.assert_allclose(
            features(engine, picture()), expected_features(picture()), atol=1e-5
        )


def test_weights_of_another_length(network: Network, tmp_path: Path) -> None:
    """Longer weights would be read without a word."""
    made = convert(network, "openvino", tmp_path)
    weights = made.path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(ProgramError, match=r"convolution\.bin: expected 432 bytes, found 433"):
        prepare(made)

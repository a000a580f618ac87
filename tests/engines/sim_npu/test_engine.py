"""An artefact with a device segment and a host segment, through the six calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.errors import (
    EngineUnavailable,
    ForwardError,
    OptionError,
    ProgramError,
    TensorError,
)
from engines.program import Network
from engines.sim_npu.artefact import Artefact, Layer, Segment, Tensor, write
from engines.sim_npu.profiles import PROFILES
from engines.sim_npu.runtime.engine import SimNpuEngine, SimNpuOptions

PROFILE = PROFILES["hi3559a-nnie"]
RNG = np.random.default_rng(3)
X = RNG.integers(-128, 128, (1, 2, 4, 4)).astype(np.int8)
TABLE = RNG.permutation(np.arange(-128, 128)).astype(np.int8)
LOOKUP = Layer("act", "lookup", ("w",), "y", {}, {"table": TABLE}, cycles=420_000)
SAME = Layer(  # each number times one
    "same",
    "conv",
    ("x",),
    "w",
    {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "groups": 2},
    {
        "weights": np.ones((2, 1, 1, 1), np.int8),
        "bias": np.zeros(2, np.int32),
        "multiplier": np.full(2, 2**30, np.int32),
        "shift": np.full(2, 30, np.uint8),
    },
    cycles=420_000,
)


def exp_network() -> bytes:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        "host (float[1,2,4,4] y) => (float[1,2,4,4] z) { z = Exp(y) }"
    )
    return model.SerializeToString()


ARTEFACT = Artefact(
    PROFILE.name,
    PROFILE.digest,
    "fixed",
    "",
    {name: Tensor((1, 2, 4, 4), 0.05, 4) for name in "xw"} | {"y": Tensor((1, 2, 4, 4), 0.02, -10)},
    (Segment(("x",), ("y",), (SAME, LOOKUP)), Segment(("y",), ("z",), (), exp_network())),
    ("x",),
    ("y", "z"),
)


def network(folder: Path, artefact: Artefact = ARTEFACT) -> Network:
    write(artefact, folder / "net.npu")
    return Network(folder / "net.npu", "sim-npu", precision="int8")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SimNpuEngine]:
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        engine.prepare(network(tmp_path))
        yield engine


def run(engine: SimNpuEngine) -> np.ndarray:
    engine.set_tensor("x", X)
    engine.forward()
    return engine.get_tensor("y")


def test_device_and_host_run_one_after_the_other(engine: SimNpuEngine) -> None:
    expected = TABLE[X.astype(int) + 128]
    np.testing.assert_array_equal(run(engine), expected)
    real = (expected.astype(np.float32) + 10) * np.float32(0.02)
    np.testing.assert_allclose(engine.get_tensor("z"), np.exp(real), rtol=1e-6)
    assert [str(spec) for spec in engine.outputs] == [
        "y: int8[1, 2, 4, 4]",
        "z: float32[1, 2, 4, 4]",
    ]
    assert (engine.inputs[0].scale, engine.inputs[0].zero_point) == (0.05, 4)


def test_float_is_refused_at_the_border(engine: SimNpuEngine) -> None:
    with pytest.raises(TensorError, match=r"expected x: int8\[1, 2, 4, 4\], got float32"):
        engine.set_tensor("x", X.astype(np.float32))


def test_time_is_the_devices(engine: SimNpuEngine) -> None:
    run(engine)
    found = engine.report()
    assert found["device_s"] == pytest.approx(1e-3)
    assert found["layers_s"] == pytest.approx({"same": 5e-4, "act": 5e-4})
    assert found["attained"] == pytest.approx(32 / (PROFILE.macs_per_cycle * 840_000))
    assert found["simulated_s"] > PROFILE.load_s
    assert (found["profile"], found["precision"]) == (PROFILE.name, "int8")


def test_a_device_that_is_pulled_is_an_error_and_comes_back(engine: SimNpuEngine) -> None:
    before = run(engine)
    engine.simulated.pull()
    with pytest.raises(EngineUnavailable, match="the device is gone"):
        run(engine)
    engine.simulated.plug()
    engine.simulated.boot()
    with pytest.raises(EngineUnavailable, match="busy loading its firmware"):
        run(engine)
    engine.simulated.advance(PROFILE.load_s)
    np.testing.assert_array_equal(run(engine), before)


def test_a_hang_ends_at_the_time_limit(engine: SimNpuEngine) -> None:
    engine.simulated.hang()
    before = engine.simulated.now
    with pytest.raises(ForwardError, match="no answer within 1 s; restart it"):
        run(engine)
    assert engine.simulated.now - before == pytest.approx(1.0)


def test_flipped_bits_reach_the_result(engine: SimNpuEngine) -> None:
    good = run(engine)
    engine.simulated.flip(2)
    wrong = run(engine)
    assert np.unpackbits((good ^ wrong).view(np.uint8)).sum() == 2


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        engine.simulated.take_memory(PROFILE.memory_bytes - 100)
        with pytest.raises(ProgramError, match="out of memory"):
            engine.prepare(network(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "atlas500"}, "compiled for profile atlas500, the device is hi3559a-nnie"),
        ({"profile_sha256": "0"}, "has changed since it was compiled"),
    ],
)
def test_another_profile_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        with pytest.raises(ProgramError, match=message):
            engine.prepare(network(tmp_path, replace(ARTEFACT, **change)))


def test_a_raw_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(exp_network())
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        with pytest.raises(ProgramError, match="it runs sim-npu networks"):
            engine.prepare(Network(path, "onnx"))
        with pytest.raises(ProgramError, match="sightline compile MODEL --target sim-npu"):
            engine.prepare(Network(path, "sim-npu"))


def test_a_profile_of_floats_is_refused() -> None:
    with (
        SimNpuEngine("npu0", "cpu", SimNpuOptions(profile="hi3559a-mali")) as engine,
        pytest.raises(OptionError, match="computes in fp16, and artefacts are int8"),
    ):
        engine.init()

"""An artefact with a device segment and a host segment, through the six calls."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.answer import KnownAnswer
from engines.convert.lowering import to_fp16
from engines.errors import (
    EngineLost,
    EngineUnavailable,
    ForwardError,
    OptionError,
    ProgramError,
    TensorError,
)
from engines.program import Network
from engines.registry import create
from engines.sim_npu.artefact import Artefact, Layer, Segment, Tensor, write
from engines.sim_npu.profiles import PROFILES, find
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.devices import DEVICES
from engines.sim_npu.runtime.engine import SimNpuEngine
from engines.sim_npu.runtime.faults import Fault
from engines.sim_npu.runtime.options import SimNpuOptions
from engines.sim_npu.runtime.pacing import WallTime

PROFILE = PROFILES["hi3559a-nnie"]
RNG = np.random.default_rng(3)
X = RNG.integers(-128, 128, (1, 2, 4, 4)).astype(np.int8)
TABLE = RNG.permutation(np.arange(-128, 128)).astype(np.int8)
EXPECTED = TABLE[X.astype(int) + 128]
MILLISECOND = int(PROFILE.clock_hz / 1000)
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


def stored(folder: Path, artefact: Artefact = ARTEFACT) -> Network:
    write(artefact, folder / "net.npu")
    return Network(folder / "net.npu", "sim-npu", precision=find(artefact.profile).precision)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return stored(tmp_path)


@contextmanager
def opened(program: Network, engine_id: str = "npu0", **options: object) -> Iterator[SimNpuEngine]:
    """An engine with the network in it."""
    with create(engine_id, "sim-npu", **options) as engine:
        engine.init()
        engine.prepare(program)
        yield engine


@pytest.fixture
def engine(network: Network) -> Iterator[SimNpuEngine]:
    with opened(network) as engine:
        yield engine


def run(engine: SimNpuEngine, given: np.ndarray = X) -> np.ndarray:
    engine.set_tensor("x", given)
    engine.forward()
    return engine.get_tensor("y")


def test_device_and_host_run_one_after_the_other(engine: SimNpuEngine) -> None:
    np.testing.assert_array_equal(run(engine), EXPECTED)
    real = (EXPECTED.astype(np.float32) + 10) * np.float32(0.02)
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
    json.dumps(found)
    assert found["device_s"] == pytest.approx(1e-3)
    assert found["waiting_s"] == 0
    assert found["layers_s"] == pytest.approx({"same": 5e-4, "act": 5e-4})
    assert found["peak_gops"] == pytest.approx(1700, rel=1e-3)
    assert found["attained"] == pytest.approx(32 / (PROFILE.macs_per_cycle * 840_000))
    assert found["simulated_s"] > PROFILE.load_s
    assert found["border_bytes"] == 2 * 32
    assert (found["profile"], found["precision"]) == (PROFILE.name, "int8")
    assert (found["condition"], found["core"], found["boots"]) == ("running", 0, 1)
    assert (found["jobs"], found["swaps"]) == (2, 0)  # the first when it was loaded


def test_workers_share_a_device_and_its_cores(network: Network) -> None:
    with opened(network) as one, opened(network) as two, opened(network) as three:
        assert one.simulated is two.simulated is three.simulated is DEVICES.of("npu0")
        assert [e.report()["core"] for e in (one, two, three)] == [0, 1, 0]
        device = one.simulated
        queued = device.submit(one._loaded, 10 * MILLISECOND)
        np.testing.assert_array_equal(run(three), EXPECTED)
        assert three.report()["waiting_s"] == pytest.approx(10e-3)
        assert three.report()["device_s"] == pytest.approx(1e-3)
        assert device.now == pytest.approx(queued.end + 1e-3)
        np.testing.assert_array_equal(run(two), EXPECTED)
        assert two.report()["waiting_s"] == 0
        assert device.boots == 1
    with opened(network, "npu1") as other:
        assert other.simulated is not device
    with opened(network) as later:
        assert later.simulated is not device


def test_two_networks_on_one_core_swap_and_give_what_they_would_alone(
    network: Network, tmp_path: Path
) -> None:
    tables = {"table": TABLE[::-1].copy()}
    layers = (SAME, replace(LOOKUP, constants=tables))
    segments = (replace(ARTEFACT.segments[0], layers=layers), ARTEFACT.segments[1])
    (tmp_path / "other").mkdir()
    other = stored(tmp_path / "other", replace(ARTEFACT, segments=segments))
    with opened(network, core=0) as one, opened(other, core="0") as two:
        for _ in range(2):
            np.testing.assert_array_equal(run(one), EXPECTED)
            assert one.report()["waiting_s"] > 0
            np.testing.assert_array_equal(run(two), TABLE[::-1][X.astype(int) + 128])
        assert one.report()["swaps"] == 5


def test_threads_of_one_device_get_their_own_results(network: Network) -> None:
    right: list[bool] = []

    def work(engine: SimNpuEngine, seed: int) -> None:
        given = np.random.default_rng(seed).integers(-128, 128, X.shape).astype(np.int8)
        expected = TABLE[given.astype(int) + 128]
        right.extend(np.array_equal(run(engine, given), expected) for _ in range(50))

    with ExitStack() as stack:
        engines_ = [stack.enter_context(opened(network)) for _ in range(6)]
        threads = [
            threading.Thread(target=work, args=(engine, seed))
            for seed, engine in enumerate(engines_)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engines_[0].report()["jobs"] == 6 + 6 * 50
    assert right == [True] * 300


def test_a_device_that_is_pulled_is_an_error_and_a_new_engine_boots_it(network: Network) -> None:
    with opened(network) as engine:
        device = engine.simulated
        device.pull()
        with pytest.raises(EngineUnavailable, match="the device is gone"):
            run(engine)
        with pytest.raises(EngineLost, match=r"'npu0' .*the device is gone"):
            engine.require_alive()
    with (
        SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine,
        pytest.raises(EngineUnavailable, match="the device is gone"),
    ):
        engine.init()
    device.plug()
    with opened(network) as engine:
        assert (engine.simulated, device.boots) == (device, 2)
        np.testing.assert_array_equal(run(engine), EXPECTED)


def test_a_restart_by_one_engine_loses_the_networks_of_the_others(network: Network) -> None:
    with opened(network) as other:
        other.require_alive()
        other.simulated.hang()
        before = other.simulated.now
        with pytest.raises(ForwardError, match="no answer 1 s after it was due; restart it"):
            run(other)
        assert other.simulated.now - before == pytest.approx(1 + 1e-3)
        with opened(network) as engine:
            with pytest.raises(ForwardError, match="the firmware was started again since"):
                run(other)
            with pytest.raises(EngineLost, match="load the network anew"):
                other.require_alive()
            np.testing.assert_array_equal(run(engine), EXPECTED)


def test_flipped_bits_reach_the_result(engine: SimNpuEngine) -> None:
    good = run(engine)
    engine.simulated.flip(2)
    wrong = run(engine)
    assert np.unpackbits((good ^ wrong).view(np.uint8)).sum() == 2


def test_a_flipped_bit_is_found_where_the_answer_is_known(network: Network) -> None:
    known = replace(network, answer=KnownAnswer({"x": X}, {"y": EXPECTED}, atol=0.0))
    with opened(known) as engine:
        np.testing.assert_array_equal(run(engine), EXPECTED)
    with SimNpuEngine("npu0", "cpu", SimNpuOptions(faults=(Fault("flip"),))) as engine:
        engine.init()
        with pytest.raises(ProgramError, match=r"gives a wrong result: output y is .* away"):
            engine.prepare(known)


def test_what_does_not_fit_is_refused(network: Network) -> None:
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        engine.simulated.take_memory(PROFILE.memory_bytes - 100)
        with pytest.raises(ProgramError, match="out of memory"):
            engine.prepare(network)


def test_the_pace_of_the_device(network: Network) -> None:
    """A forward takes as long as the device would; the firmware loads beside the caller."""
    options, slept = SimNpuOptions(pacing="real"), list[float]()
    device = Device(PROFILE, WallTime(lambda: sum(slept), slept.append))
    DEVICES.attach("npu0", (PROFILE, "real", ()), lambda: device)
    with SimNpuEngine("npu0", "cpu", options) as engine:
        engine.start_loading(network)
        assert (engine.loaded, device.boots, slept) == (False, 1, [])
        slept.append(0.5)
        engine.init()
        assert (engine.loaded, slept) == (True, [0.5, PROFILE.load_s - 0.5])
        engine.prepare(network)
        before = sum(slept)
        run(engine)
        assert sum(slept) - before == pytest.approx(1e-3)


def test_an_engine_without_pace_never_waits(network: Network) -> None:
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        assert engine.loaded
        engine.start_loading(network)
        assert engine.loaded


def test_isolated_engines_have_devices_of_their_own(network: Network) -> None:
    faults = [{"what": "gone", "after": 2, "for_s": 3600}]
    for _ in range(2):  # what broke goes with its process
        with create("npu0", "sim-npu", isolate=True, faults=faults) as engine:
            engine.init()
            engine.prepare(network)
            assert engine.report()["boots"] == 1
            np.testing.assert_array_equal(run(engine), EXPECTED)
            with pytest.raises(EngineUnavailable, match="the device is gone"):
                run(engine)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"core": 2}, "core: expected auto or 0 … 1 of hi3559a-nnie, got 2"),
        ({"core": -1}, "core: expected auto or a whole number ≥ 0, got -1"),
        ({"core": "first"}, "core: expected auto or a whole number"),
        ({"core": True}, "core: expected auto or a whole number"),
        ({"pacing": "slow"}, "pacing: expected one of none, real, got 'slow'"),
        ({"pacing": True}, "pacing: expected one of none, real, got True"),
        ({"faults": [{"what": "fire"}]}, "faults: entry 1: what: expected one of gone, hang"),
        ({"profile": "hi3559a"}, "profile: expected one of atlas500"),
        ({"profile": 3}, "profile: expected text, got 3"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"engine 'npu0': {told}")):
        create("npu0", "sim-npu", **options)


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
            engine.prepare(stored(tmp_path, replace(ARTEFACT, **change)))


def test_a_raw_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(exp_network())
    with SimNpuEngine("npu0", "cpu", SimNpuOptions()) as engine:
        engine.init()
        with pytest.raises(ProgramError, match="it runs sim-npu networks"):
            engine.prepare(Network(path, "onnx"))
        with pytest.raises(ProgramError, match="sightline compile MODEL --target sim-npu"):
            engine.prepare(Network(path, "sim-npu"))


@pytest.mark.parametrize(("profile", "error"), [("hi3559a-cpu", 1e-6), ("hi3559a-mali", 1e-3)])
def test_a_device_of_floats(profile: str, error: float, tmp_path: Path) -> None:
    """Its tensors stay real; the layers only tell the time."""
    model = onnx.load_from_string(exp_network())
    half = find(profile).precision == "fp16"
    content = (to_fp16(model) if half else model).SerializeToString()
    layer = Layer("exp", "lookup", ("y",), "z", {"macs": 32, "bytes": 128}, {}, 15_000)
    program = stored(
        tmp_path,
        Artefact(
            profile,
            find(profile).digest,
            "fixed",
            "",
            {},
            (Segment(("y",), ("z",), (layer,), content),),
            ("y",),
            ("z",),
        ),
    )
    with opened(program, profile=profile) as engine:
        assert [str(spec) for spec in engine.inputs] == ["y: float32[1, 2, 4, 4]"]
        given = np.linspace(-2, 2, 32, dtype=np.float32).reshape(X.shape)
        engine.set_tensor("y", given)
        engine.forward()
        found = engine.get_tensor("z")
        np.testing.assert_allclose(found, np.exp(given), rtol=error)
        assert (np.exp(given) != found).any() or not half
        report = engine.report()
        assert report["precision"] == find(profile).precision
        assert report["device_s"] == pytest.approx(15_000 / find(profile).clock_hz)
        assert (report["border_bytes"], engine._loaded.size) == (256, len(content) + 256)

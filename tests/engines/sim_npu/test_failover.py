"""The device fails and another engine takes over, on the same input, until it is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from engines.breaker import Breaker
from engines.failover import Candidate, Failover
from engines.program import Network
from engines.registry import create
from engines.sim_npu.artefact import write
from engines.sim_npu.compiler.compile import compile_network
from engines.sim_npu.profiles import PROFILES
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.devices import DEVICES
from engines.sim_npu.runtime.faults import Fault, FaultSchedule
from engines.sim_npu.runtime.pacing import SimulatedTime, Time, WallTime
from tests.engines.subjects import expected_features, picture, small_network

PROFILE = PROFILES["hi3559a-nnie"]


class Bench:
    """The small network on the device, else on the CPU; one clock for the wall and the breakers."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 0.0
        network = small_network(folder)
        artefact = compile_network(network.path, PROFILE, [{"image": picture(n)} for n in range(4)])
        write(artefact, folder / "net.npu")
        self.compiled = Network(folder / "net.npu", "sim-npu", precision="int8")
        self.network = network
        self.breaker = Breaker(retry_s=1)
        self.opened: list[Failover] = []

    def open(self, *faults: Fault, pacing: str = "none") -> Failover:
        """A worker's; the next one's is on the same device, and shares the breaker."""

        def make() -> Device:
            wall = WallTime(lambda: self.now_s, self.sleep)
            time: Time = SimulatedTime() if pacing == "none" else wall
            return Device(PROFILE, time, FaultSchedule(faults, lambda: self.now_s))

        device = DEVICES.attach("npu0", (PROFILE, pacing, faults), make)
        npu = partial(create, "npu0", "sim-npu", pacing=pacing, faults=faults)
        cpu = partial(create, "cpu0", "onnxruntime")
        candidates = (
            Candidate("npu0", npu, self.compiled, self.breaker),
            Candidate("cpu0", cpu, self.network),
        )
        failover = Failover(candidates, lambda: self.now_s)
        self.opened.append(failover)
        failover.open()
        DEVICES.detach(device)
        return failover

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def close(self) -> None:
        for failover in self.opened:
            failover.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def ran_on(failover: Failover) -> str:
    """Runs once, checks the result, and gives the engine that made it."""
    features = failover.run({"image": picture()})["features"]
    atol = 1e-4 if failover.engine_id == "cpu0" else 0.02 * np.abs(features).max()
    np.testing.assert_allclose(features, expected_features(picture()), atol=atol)
    return failover.engine_id


@pytest.mark.parametrize("what", ["gone", "hang", "crash", "out_of_memory"])
def test_the_next_engine_takes_over_until_the_device_is_back(what: str, bench: Bench) -> None:
    failover = bench.open(Fault(what, after=3, for_s=2.5))  # one of them when it was loaded
    assert [ran_on(failover) for _ in range(4)] == ["npu0", "npu0", "cpu0", "cpu0"]
    assert list(failover.reasons()) == ["npu0"]
    bench.now_s = 1.0
    assert ran_on(failover) == "cpu0"  # a trial, and the device is still broken
    bench.now_s = 3.0
    assert [ran_on(failover) for _ in range(2)] == ["npu0", "npu0"]
    assert failover.counts() == {"npu0 failed": 1, "npu0 returned": 1}
    assert DEVICES.of("npu0").in_order


def test_a_device_that_is_gone_at_the_start_comes_later(bench: Bench) -> None:
    failover = bench.open(Fault("gone", for_s=0.5))
    assert ran_on(failover) == "cpu0"
    bench.now_s = 1.0
    assert ran_on(failover) == "npu0"


@pytest.mark.parametrize("what", ["throttle", "flip"])
def test_what_does_not_look_like_a_failure_is_none(what: str, bench: Bench) -> None:
    failover = bench.open()
    before = failover.run({"image": picture()})["features"]
    device = DEVICES.of("npu0")
    device.throttle(50.0) if what == "throttle" else device.flip(40)
    after = failover.run({"image": picture()})["features"]
    assert failover.engine_id == "npu0"
    assert failover.counts() == {}
    assert np.array_equal(before, after) == (what == "throttle")


@pytest.mark.parametrize("fault", [Device.crash, Device.hang])
def test_one_worker_boots_the_device_for_all(fault: Callable[[Device], None], bench: Bench) -> None:
    """The networks of the others are lost by that, and loaded anew, without a frame's loss."""
    workers = [bench.open() for _ in range(4)]
    assert [ran_on(worker) for worker in workers] == ["npu0"] * 4
    device = DEVICES.of("npu0")
    fault(device)
    assert [ran_on(worker) for worker in workers] == ["cpu0"] * 4
    for bench.now_s in np.arange(0.5, 5, 0.5):
        for worker in workers:
            ran_on(worker)
    assert [ran_on(worker) for worker in workers] == ["npu0"] * 4
    assert device.boots == 2
    assert [worker.engines()[0].report()["core"] for worker in workers] == [0, 1, 0, 1]


def test_the_other_engine_works_while_the_firmware_loads(bench: Bench) -> None:
    failover = bench.open(pacing="real")
    assert bench.now_s >= PROFILE.load_s
    device, begun = DEVICES.of("npu0"), bench.now_s
    device.crash()
    assert ran_on(failover) == "cpu0"
    bench.now_s += 1.0
    assert ran_on(failover) == "cpu0"  # it was told to boot, and nobody waits for it
    assert (device.boots, bench.now_s) == (2, begun + 1.0)
    bench.now_s += PROFILE.load_s
    assert ran_on(failover) == "npu0"

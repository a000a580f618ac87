"""The device's state and time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from engines.errors import EngineUnavailable, ForwardError, ProgramError
from engines.sim_npu.profiles import PROFILES
from engines.sim_npu.runtime.core import Loaded
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.pacing import WallTime

PROFILE = PROFILES["hi3559a-nnie"]
MILLISECOND = int(PROFILE.clock_hz / 1000)
MEGABYTE_S = 10**6 / PROFILE.bandwidth


class Running:
    """A device that has booted."""

    def __init__(self) -> None:
        self.device = Device(PROFILE)
        self.device.start()
        self.device.wait_for_firmware()
        self.a = self.load("a", 0)

    def load(self, network: str, core: int | None = None, size: int = 10**6) -> Loaded:
        """Loads a network of 1 MB, and lets it be copied."""
        loaded = self.device.load(network, size, core)
        self.device.time.wait_until(self.device.now + size / PROFILE.bandwidth)
        return loaded


@pytest.fixture
def running() -> Running:
    """With network "a" on core 0."""
    return Running()


def test_firmware_takes_its_time() -> None:
    device = Device(PROFILE)
    with pytest.raises(EngineUnavailable, match="is off; boot it"):
        device.load("a", 10)
    device.start()
    device.time.wait_until(PROFILE.load_s / 2)
    with pytest.raises(EngineUnavailable, match=r"busy loading its firmware for another 0\.75 s"):
        device.load("a", 10)
    device.start()
    device.wait_for_firmware()
    assert (device.now, device.boots) == (PROFILE.load_s, 1)


def test_a_job_takes_its_cycles(running: Running) -> None:
    device, before = running.device, running.device.now
    job = device.submit(running.a, 3 * MILLISECOND)
    assert device.now == before
    device.finish(job)
    assert device.now - before == pytest.approx(3e-3)
    assert (job.working_s, job.waiting_s) == (pytest.approx(3e-3), 0)


def test_jobs_of_one_core_queue_and_cores_run_beside_each_other(running: Running) -> None:
    device, other = running.device, running.load("a", core=1)
    before = device.now
    first, second = (device.submit(running.a, 2 * MILLISECOND) for _ in range(2))
    beside = device.submit(other, 2 * MILLISECOND)
    assert [job.waiting_s for job in (first, second, beside)] == pytest.approx([0, 2e-3, 0])
    device.finish(beside)
    device.finish(first)
    assert device.now - before == pytest.approx(2e-3)
    device.finish(second)
    assert device.now - before == pytest.approx(4e-3)


def test_the_queue_is_bounded(running: Running) -> None:
    device = running.device
    jobs = [device.submit(running.a, MILLISECOND) for _ in range(PROFILE.queue_depth)]
    with pytest.raises(ForwardError, match="queue of core 0 is full with 4 jobs"):
        device.submit(running.a, MILLISECOND)
    device.finish(jobs[0])
    device.submit(running.a, MILLISECOND)
    waited = device.submit(running.a, MILLISECOND, wait=True)
    assert waited.waiting_s == pytest.approx(4e-3)
    assert device.now == jobs[1].end


def test_a_full_queue_of_a_hung_device_is_not_waited_for(running: Running) -> None:
    running.device.hang()
    for _ in range(PROFILE.queue_depth):
        running.device.submit(running.a, MILLISECOND, wait=True)
    with pytest.raises(ForwardError, match="queue of core 0 is full"):
        running.device.submit(running.a, MILLISECOND, wait=True)


def test_networks_spread_over_the_cores(running: Running) -> None:
    device = running.device
    b = running.load("b")
    assert (running.a.core, b.core) == (0, 1)
    assert running.load("b").core == 1, "that core has it already"
    assert running.load("c").core == 0, "that core has fewer"
    device.unload(b)
    device.unload(b)
    assert running.load("d").core == 1


def test_networks_of_one_core_push_each_other_out(running: Running) -> None:
    device, b = running.device, running.load("b", core=0)
    assert device.swaps == 1
    for _ in range(2):
        for network in (running.a, b):
            job = device.submit(network, MILLISECOND)
            assert job.waiting_s == pytest.approx(MEGABYTE_S)
            device.finish(job)
    assert device.swaps == 5
    assert device.submit(b, MILLISECOND).waiting_s == 0


def test_memory_is_limited(running: Running) -> None:
    device = running.device
    big = running.load("b", core=1, size=PROFILE.memory_bytes - 10**6)
    with pytest.raises(ProgramError, match="out of memory: the network needs 2000000 bytes, 1000"):
        device.load("c", 2 * 10**6, core=0)
    assert running.load("a", core=0), "it is there already"
    device.unload(big)
    assert device.free_bytes == PROFILE.memory_bytes - 10**6
    device.take_memory(PROFILE.memory_bytes - 10**6)
    device.finish(device.submit(running.a, MILLISECOND))
    with pytest.raises(ProgramError, match="out of memory"):
        device.load("c", 2 * 10**6)
    device.take_memory(PROFILE.memory_bytes)
    with pytest.raises(ForwardError, match="out of memory: 1000000 bytes more are held than there"):
        device.submit(running.a, MILLISECOND)


def test_throttling_slows_later_jobs(running: Running) -> None:
    device = running.device
    device.throttle(2.5)
    assert device.submit(running.a, MILLISECOND).working_s == pytest.approx(2.5e-3)
    device.throttle(1)
    assert device.submit(running.a, MILLISECOND).working_s == pytest.approx(1e-3)
    with pytest.raises(ValueError, match="slowdown: expected a number ≥ 1"):
        device.throttle(0.5)


def test_a_hung_device_takes_jobs_and_never_answers(running: Running) -> None:
    device = running.device
    done = device.submit(running.a, MILLISECOND)
    device.time.wait_until(done.end)
    before = device.submit(running.a, MILLISECOND)
    device.hang()
    after = device.submit(running.a, MILLISECOND)
    device.finish(done)
    with pytest.raises(ForwardError, match="would never answer"):
        device.finish(after)
    with pytest.raises(ForwardError, match=r"no answer 0\.5 s after it was due; restart it"):
        device.finish(before, late_s=0.5)
    assert device.now == before.end + 0.5
    for use in (lambda: device.finish(after, 0.5), lambda: device.submit(running.a, MILLISECOND)):
        with pytest.raises(EngineUnavailable, match="is hung; boot it"):
            use()


@pytest.mark.parametrize("fault", [Device.crash, Device.hang])
def test_a_restart_loses_jobs_and_networks(
    running: Running, fault: Callable[[Device], None]
) -> None:
    device = running.device
    job = device.submit(running.a, MILLISECOND)
    fault(device)
    device.start()
    assert device.busy_s == pytest.approx(PROFILE.load_s)
    device.wait_for_firmware()
    for use in (lambda: device.finish(job), lambda: device.submit(running.a, MILLISECOND)):
        with pytest.raises(ForwardError, match="networks and jobs are lost"):
            use()
    assert device.free_bytes == PROFILE.memory_bytes
    device.unload(running.a)
    device.submit(running.load("a"), MILLISECOND)


def test_a_crashed_device_answers_nothing(running: Running) -> None:
    job = running.device.submit(running.a, MILLISECOND)
    running.device.crash()
    with pytest.raises(EngineUnavailable, match="is crashed; boot it"):
        running.device.finish(job)


def test_a_pulled_device_comes_back_empty(running: Running) -> None:
    device = running.device
    job = device.submit(running.a, MILLISECOND)
    device.pull()
    for ordered in (device.hang, device.crash):
        ordered()  # nothing that is not there does that
    with pytest.raises(EngineUnavailable, match="is gone; plug it in"):
        device.finish(job)
    with pytest.raises(EngineUnavailable, match="plug it in"):
        device.start()
    device.plug()
    device.start()
    device.wait_for_firmware()
    with pytest.raises(ForwardError, match="networks and jobs are lost"):
        device.require(running.a)


def test_flipped_bits_are_as_many_as_ordered_and_once(running: Running) -> None:
    device = running.device
    device.flip(3)
    first, second = (device.submit(running.a, MILLISECOND) for _ in range(2))
    for result in (
        np.arange(-60, 60, dtype=np.int8).reshape(4, 30),
        np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4).T,
    ):
        spoilt = device.delivered(first, result)
        assert (spoilt.shape, spoilt.dtype) == (result.shape, result.dtype)
        as_bits = [np.unpackbits(np.frombuffer(a.tobytes(), np.uint8)) for a in (spoilt, result)]
        assert np.not_equal(*as_bits).sum() == 3
        np.testing.assert_array_equal(spoilt, device.delivered(first, result))
        np.testing.assert_array_equal(device.delivered(second, result), result)


def test_a_device_at_the_pace_of_the_wall_clock() -> None:
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    device = Device(PROFILE, WallTime(lambda: sum(slept), sleep))
    device.start()
    assert device.keeps_waiting
    device.wait_for_firmware()
    assert slept == [PROFILE.load_s]
    assert not device.keeps_waiting
    loaded = device.load("a", 10**6)
    job = device.submit(loaded, MILLISECOND)
    sleep(job.working_s / 4)  # the machine computes meanwhile
    device.finish(job)
    assert slept[2] == pytest.approx(MEGABYTE_S + 0.75e-3)
    device.hang()
    with pytest.raises(ForwardError, match="no answer 1 s after"):
        device.finish(device.submit(loaded, MILLISECOND), late_s=1.0)
    assert slept[3] == pytest.approx(1e-3 + 1.0)


def test_what_happens_while_a_caller_sleeps_is_noticed() -> None:
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            device.pull()

    device = Device(PROFILE, WallTime(lambda: sum(slept), sleep))
    device.start()
    device.wait_for_firmware()
    job = device.submit(device.load("a", 10), MILLISECOND)
    with pytest.raises(EngineUnavailable, match="gone"):
        device.finish(job)


def test_many_threads_share_one_device() -> None:
    device = Device(PROFILE)
    device.start()
    device.wait_for_firmware()
    loaded = [device.load("a", 1000) for _ in range(8)]
    worked: list[float] = []

    def work(network: Loaded) -> None:
        for _ in range(200):
            job = device.submit(network, MILLISECOND, wait=True)
            device.finish(job)
            worked.append(job.working_s)

    threads = [threading.Thread(target=work, args=(network,)) for network in loaded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.core for one in loaded] == [0, 1] * 4
    assert (device.jobs, len(worked)) == (1600, 1600)
    # Each core did 800 jobs of a millisecond, one after another.
    assert device.now >= PROFILE.load_s + 0.8

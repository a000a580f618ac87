"""The device's state and simulated time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engines.errors import EngineUnavailable, ForwardError, ProgramError
from engines.sim_npu.profiles import PROFILES
from engines.sim_npu.runtime.device import Device

PROFILE = PROFILES["hi3559a-nnie"]
MILLISECOND = int(PROFILE.clock_hz / 1000)


@pytest.fixture
def device() -> Device:
    """Booted, with network "a" of 1 MB on core 0, copied."""
    device = Device(PROFILE)
    device.boot()
    device.advance(PROFILE.load_s)
    device.place(0, "a", 10**6)
    device.advance(10**6 / PROFILE.bandwidth)
    return device


def test_firmware_takes_its_time() -> None:
    device = Device(PROFILE)
    with pytest.raises(EngineUnavailable, match="is off; boot it"):
        device.place(0, "a", 10)
    device.boot()
    device.advance(PROFILE.load_s / 2)
    with pytest.raises(EngineUnavailable, match=r"busy loading its firmware for another 0\.75 s"):
        device.place(0, "a", 10)


def test_a_job_takes_its_cycles(device: Device) -> None:
    before = device.now
    job = device.submit(0, "a", 3 * MILLISECOND)
    assert device.now == before
    assert device.finish(job) == pytest.approx(3e-3)
    assert device.now - before == pytest.approx(3e-3)


def test_jobs_of_one_core_queue_and_cores_run_beside_each_other(device: Device) -> None:
    device.place(1, "a", 10**6)
    device.advance(1.0)
    before = device.now
    first, second = (device.submit(0, "a", 2 * MILLISECOND) for _ in range(2))
    beside = device.submit(1, "a", 2 * MILLISECOND)
    device.finish(beside)
    device.finish(first)
    assert device.now - before == pytest.approx(2e-3)
    device.finish(second)
    assert device.now - before == pytest.approx(4e-3)


def test_the_queue_is_bounded(device: Device) -> None:
    jobs = [device.submit(0, "a", MILLISECOND) for _ in range(PROFILE.queue_depth)]
    with pytest.raises(ForwardError, match="queue of core 0 is full with 4 jobs"):
        device.submit(0, "a", MILLISECOND)
    device.finish(jobs[0])
    device.submit(0, "a", MILLISECOND)


def test_a_core_holds_one_network(device: Device) -> None:
    device.place(0, "b", 21_300_000)
    with pytest.raises(ForwardError, match="core 0 does not hold this network"):
        device.submit(0, "a", MILLISECOND)
    before = device.now
    device.finish(device.submit(0, "b", MILLISECOND))
    assert device.now - before == pytest.approx(1e-3 + 1e-3)  # copying it, then running it


def test_memory_is_limited(device: Device) -> None:
    device.place(1, "b", PROFILE.memory_bytes - 10**6)
    with pytest.raises(ProgramError, match="out of memory: the network needs 2000000 bytes, 1000"):
        device.place(0, "c", 2 * 10**6)
    device.place(1, "a", 10**6)
    device.take_memory(PROFILE.memory_bytes - 10**6)
    with pytest.raises(ProgramError, match="out of memory"):
        device.place(0, "c", 2 * 10**6)


def test_throttling_slows_later_jobs(device: Device) -> None:
    device.throttle(2.5)
    assert device.finish(device.submit(0, "a", MILLISECOND)) == pytest.approx(2.5e-3)
    device.throttle(1)
    assert device.finish(device.submit(0, "a", MILLISECOND)) == pytest.approx(1e-3)
    with pytest.raises(ValueError, match="slowdown: expected a number ≥ 1"):
        device.throttle(0.5)


def test_a_hung_device_takes_jobs_and_never_answers(device: Device) -> None:
    before = device.submit(0, "a", MILLISECOND)
    device.hang()
    after = device.submit(0, "a", MILLISECOND)
    start = device.now
    for job in (before, after):
        with pytest.raises(ForwardError, match=r"no answer within 0\.5 s; restart it"):
            device.finish(job, timeout_s=0.5)
    assert device.now - start == pytest.approx(1.0)
    with pytest.raises(ForwardError, match="would never answer"):
        device.finish(after)


@pytest.mark.parametrize("fault", [Device.crash, Device.hang])
def test_a_restart_loses_jobs_and_networks(device: Device, fault: Callable[[Device], None]) -> None:
    job = device.submit(0, "a", MILLISECOND)
    fault(device)
    device.boot()
    assert device.busy_s == pytest.approx(PROFILE.load_s)
    with pytest.raises(ForwardError, match="the job is lost"):
        device.finish(job)
    device.advance(PROFILE.load_s)
    with pytest.raises(ForwardError, match="does not hold this network"):
        device.submit(0, "a", MILLISECOND)


def test_a_crashed_device_answers_nothing(device: Device) -> None:
    job = device.submit(0, "a", MILLISECOND)
    device.crash()
    with pytest.raises(EngineUnavailable, match="is crashed; boot it"):
        device.finish(job)


def test_a_pulled_device_comes_back_empty(device: Device) -> None:
    job = device.submit(0, "a", MILLISECOND)
    device.pull()
    with pytest.raises(EngineUnavailable, match="is gone; plug it in"):
        device.finish(job)
    with pytest.raises(EngineUnavailable, match="plug it in"):
        device.boot()
    device.plug()
    device.boot()
    device.advance(PROFILE.load_s)
    device.place(0, "a", 10**6)


def test_flipped_bits_are_as_many_as_ordered_and_once(device: Device) -> None:
    result = np.arange(-60, 60, dtype=np.int8).reshape(4, 30)
    device.flip(3)
    spoilt = device.delivered(result)
    wrong = np.unpackbits((spoilt ^ result).view(np.uint8)).sum()
    assert wrong == 3
    assert spoilt.shape == result.shape
    np.testing.assert_array_equal(device.delivered(result), result)

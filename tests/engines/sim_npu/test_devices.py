"""Which engines share a device, and when it is forgotten."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from engines.errors import OptionError
from engines.sim_npu.profiles import PROFILES
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.devices import Devices

PROFILE = PROFILES["hi3559a-nnie"]
make = partial(Device, PROFILE)


def test_one_device_for_an_id() -> None:
    devices = Devices()
    first = devices.attach("npu0", "same", make)
    assert devices.attach("npu0", "same", make) is first
    assert devices.attach("npu1", "same", make) is not first
    assert devices.of("npu0") is first
    with pytest.raises(KeyError):
        devices.of("npu2")


def test_other_settings_are_another_device() -> None:
    devices = Devices()
    first = devices.attach("npu0", "same", make)
    with pytest.raises(OptionError, match=r"'npu0' is in use with another profile, pacing or"):
        devices.attach("npu0", "other", make)
    first.pull()
    devices.detach(first)
    assert devices.attach("npu0", "other", make) is not first


def test_the_last_user_takes_a_sound_device_away() -> None:
    devices = Devices()
    first = devices.attach("npu0", "same", make)
    devices.attach("npu0", "same", make)
    devices.detach(first)
    assert devices.of("npu0") is first
    devices.detach(first)
    assert devices.attach("npu0", "same", make) is not first


@pytest.mark.parametrize("fault", ["pull", "hang", "crash", "throttle", "take_memory"])
def test_an_unsound_device_stays_as_it_is(fault: str) -> None:
    devices = Devices()
    first = devices.attach("npu0", "same", make)
    first.start()
    getattr(first, fault)(*{"throttle": (2.0,), "take_memory": (100,)}.get(fault, ()))
    devices.detach(first)
    assert devices.attach("npu0", "same", make) is first
    devices.forget("npu0")
    assert devices.attach("npu0", "same", make) is not first
    devices.detach(first)


def test_threads_agree_on_the_device() -> None:
    devices, found = Devices(), []

    def work() -> None:
        for _ in range(200):
            device = devices.attach("npu0", "same", make)
            found.append(device)
            devices.detach(device)

    kept = devices.attach("npu0", "same", make)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 800
    assert set(found) == {kept}
    devices.detach(kept)
    with pytest.raises(KeyError):
        devices.of("npu0")

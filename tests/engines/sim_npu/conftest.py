"""Nothing that a test did to a device is left for the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engines.sim_npu.runtime.devices import DEVICES


@pytest.fixture(autouse=True)
def new_devices() -> Iterator[None]:
    """The device of engine ``npu0`` is a new one for each test."""
    yield
    DEVICES.forget("npu0")

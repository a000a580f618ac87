"""NVIDIA's GPUs and their memory, as the driver counts them."""

from __future__ import annotations

import ctypes

import pytest

from engines.nvidia import gpu_memory
from engines.peak import device_memory


def without_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return True
    return False


@pytest.mark.skipif(not without_driver(), reason="NVIDIA's driver is here")
def test_without_a_driver_there_is_no_gpu() -> None:
    assert gpu_memory() == ()
    assert device_memory("cuda:0") is None


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_memory(), reason="no NVIDIA GPU here")
def test_memory_is_what_torch_finds() -> None:
    cuda = pytest.importorskip("torch").cuda
    if not cuda.is_available():
        pytest.skip("no GPU that torch can use")
    sizes = [cuda.get_device_properties(n).total_memory for n in range(cuda.device_count())]
    assert list(gpu_memory()) == sizes
    assert device_memory("cuda") == sizes[0]
    assert device_memory(f"cuda:{len(sizes)}") is None

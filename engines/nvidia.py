"""NVIDIA's GPUs as the driver counts them, asked before any of CUDA's large libraries is loaded."""

from __future__ import annotations

from ctypes import CDLL, byref, c_int, c_size_t

INSTALL = "install NVIDIA's driver (https://www.nvidia.com/drivers) and see: nvidia-smi"


def gpu_memory() -> tuple[int, ...]:
    """Bytes of memory of each GPU, ``cuda:0`` first; empty without a driver or a GPU.

    Asks the driver itself (CUDA Driver API, "Device Management"): nvidia-smi counts in another
    order and does not heed CUDA_VISIBLE_DEVICES.
    """
    try:
        driver = CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(byref(count)):
        return ()
    return tuple(_memory(driver, number) for number in range(count.value))


def _memory(driver: CDLL, number: int) -> int:
    device, size = c_int(), c_size_t()
    driver.cuDeviceGet(byref(device), number)
    driver.cuDeviceTotalMem_v2(byref(size), device)
    return size.value

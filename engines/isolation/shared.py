"""Tensors in memory that two processes share.

The memory is a file without a name (memfd_create(2)): it is gone with the last process that holds
it, however that ended, so nothing has to be cleaned up and nothing can be left in /dev/shm.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.program import Tensors

#: Every tensor begins at a multiple of so many bytes: a cache line, and enough for any vector unit.
_ALIGNED = 64

#: Where a tensor lies: its name, shape, dtype as numpy writes it, and offset in bytes.
Placed = tuple[str, tuple[int, ...], str, int]


def new_memory() -> int:
    """A new block of memory of one page; gives its descriptor, which the caller closes."""
    fd = os.memfd_create("sightline-tensors")
    os.ftruncate(fd, mmap.PAGESIZE)
    return fd


class SharedTensors:
    """A block of shared memory that one side writes and the other reads; it only grows.

    Args:
        fd: of `new_memory`; stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._memory: mmap.mmap | None = None

    def write(self, tensors: Mapping[str, NDArray[Any]]) -> list[Placed]:
        """Copies tensors into the memory, over those before; gives what `read` needs."""
        placed: list[Placed] = []
        end = 0
        for name, array in tensors.items():
            placed.append((name, array.shape, array.dtype.str, end))
            end += -(-array.nbytes // _ALIGNED) * _ALIGNED
        if end > os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, end)
        for name, view in self.read(placed).items():
            np.copyto(view, tensors[name])
        return placed

    def read(self, placed: Sequence[Placed]) -> Tensors:
        """The tensors where they lie: no copies, valid until the next `write` of either side."""
        memory = self._mapped()
        return {
            name: np.ndarray(shape, dtype, memory, offset) for name, shape, dtype, offset in placed
        }

    def close(self) -> None:
        """Lets go of the memory; arrays of it that somebody still has stay as they are."""
        self._memory = None

    def _mapped(self) -> mmap.mmap:
        size = os.fstat(self._fd).st_size
        if self._memory is None or len(self._memory) < size:
            # The mapping before is let go of, not closed: an array may still look at it.
            self._memory = mmap.mmap(self._fd, size)
        return self._memory

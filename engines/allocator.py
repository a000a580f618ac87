"""How the C library's allocator treats large blocks in a process that runs for months."""

from __future__ import annotations

import ctypes

# Numbers of mallopt's parameters. Source: malloc.h of the GNU C library, mallopt(3).
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
#: Blocks from this size on go back to the system when they are freed, bytes: tensors and pictures
#: do; rows, packets and telegrams are taken from heaps.
_LARGE = 256 * 1024
#: Heaps among which all threads share; one for each thread is what the library would make.
_HEAPS = 2


def keep_flat() -> None:
    """Makes memory that was used once not stay used, for this process and from now on.

    The library learns from the largest block it has seen freed to take such blocks from heaps,
    where a small block behind them that lives on keeps their room for ever. A hundred pictures a
    second, freed by other threads than made them, let such a heap grow for hours. Pictures that
    are mapped by themselves cost the kernel up to half a millisecond a megabyte. Without effect
    where the library is not GNU's.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_ARENA_MAX, _HEAPS)


def give_back() -> None:
    """Gives the system what is free inside the heaps, to be called now and then.

    What lives on there lies between what was freed, a little farther apart each hour. Takes some
    milliseconds. Without effect where the library is not GNU's.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

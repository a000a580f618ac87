"""What a process holds once large blocks were freed between small ones that live on."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HELD = """
import sys
import numpy as np
import psutil
from engines import allocator

if sys.argv[1] == "flat":
    allocator.keep_flat()
del (large := {"first": np.ones(8 << 20, np.uint8)})["first"]  # what the library learns from
pictures, rows = [], []
for _ in range(100):
    pictures.append(np.ones(1 << 20, np.uint8))
    rows.append(np.ones(1 << 12, np.uint8))
before = psutil.Process().memory_info().rss
pictures.clear()
print((before - psutil.Process().memory_info().rss) >> 20)
"""


def given_back_mb(how: str) -> int:
    found = subprocess.run([sys.executable, "-c", _HELD, how], check=True, capture_output=True)
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's allocator is meant")
def test_large_blocks_go_back_though_small_ones_stay() -> None:
    assert given_back_mb("flat") >= 95
    assert given_back_mb("as it comes") <= 5


_TRIMMED = """
import numpy as np
import psutil
from engines import allocator

blocks = [np.ones(100_000, np.uint8) for _ in range(1000)]
del blocks[::2]
before = psutil.Process().memory_info().rss
allocator.give_back()
print((before - psutil.Process().memory_info().rss) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's allocator is meant")
def test_what_is_free_between_others_goes_back_when_asked() -> None:
    found = subprocess.run([sys.executable, "-c", _TRIMMED], check=True, capture_output=True)
    assert int(found.stdout) >= 30

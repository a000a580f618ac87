"""The boxes of an MP4 file (ISO/IEC 14496-12, 4.2), as far as an error message needs them."""

from __future__ import annotations

import struct
from pathlib import Path

_FIRST = frozenset({b"ftyp", b"mdat", b"free", b"skip", b"wide", b"pnot"})
_MOST = 1000


def lacks_index(path: Path) -> bool:
    """Whether it is an MP4 or QuickTime file without a table of its frames: it was never ended."""
    try:
        with path.open("rb") as file:
            seen: set[bytes] = set()
            for _ in range(_MOST):
                header = file.read(8)
                if len(header) < 8:
                    break
                size, kind = struct.unpack(">I4s", header)
                if not seen and kind not in _FIRST:
                    return False
                seen.add(kind)
                # Size 1: 64 bits of it follow. Size 0: to the end of the file.
                skipped = struct.unpack(">Q", file.read(8))[0] - 16 if size == 1 else size - 8
                if skipped < 0:
                    break
                file.seek(skipped, 1)
    except (OSError, OverflowError, struct.error):
        return False
    return bool(seen) and not seen & {b"moov", b"moof"}

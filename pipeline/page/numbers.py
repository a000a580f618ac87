"""Numbers as a page writes them: three digits that tell, and a unit."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

#: What stands for a number that is not there, or not finite.
NONE = "–"
_PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def quantity(value: float | None, unit: str = "") -> str:
    """``1.23 MB``, ``45.6 µs``; in steps of a thousand."""
    if value is None:
        return NONE
    if not value:
        return f"0 {unit}".rstrip()
    power = floor(log10(abs(value)) + 1e-9) // 3 * 3
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    scaled = value / 10.0**power
    digits = max(0, 2 - floor(log10(abs(scaled)) + 1e-9)) if power else 2 * (value % 1 > 0)
    return f"{scaled:.{digits}f} {_PREFIXES[power]}{unit}".rstrip()


def share(value: float | None) -> str:
    """A part of a whole, as percent."""
    if value is None:
        return NONE
    if 0 < value < 0.001:
        return "< 0.1 %"
    return f"{100 * value:.1f} %"


def decimal(value: float | None, digits: int = 1) -> str:
    """With as many digits behind the point."""
    return NONE if value is None else f"{value:z.{digits}f}"


def clock(seconds: float | None) -> str:
    """A moment or a length of a recording: ``0:07``, ``12:30``, ``1:02:03``."""
    if seconds is None:
        return NONE
    minutes, rest = divmod(floor(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shape(lengths: Sequence[int]) -> str:
    """``1 × 3 × 288 × 512``."""
    return " × ".join(map(str, lengths))

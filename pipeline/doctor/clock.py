"""Whether the time is right."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

from pipeline.doctor.check import Check, Grade

_2025_S = 1_735_689_600  # an earlier date is that of a board whose clock has no battery
_UNSYNCHRONISED = 0x40  # STA_UNSYNC of adjtimex(2)


@dataclass(frozen=True, slots=True)
class Clocks:
    """What the clocks say.

    Attributes:
        utc_s: seconds since 1970.
        synchronised: whether the kernel knows that a time service keeps it; None: it does not tell.
        error_ms: how wrong it may be, as the kernel knows.
        resolution_s: of the monotonic clock.
        monotonic: whether that only goes forward.
    """

    utc_s: float
    synchronised: bool | None
    error_ms: float
    resolution_s: float
    monotonic: bool


class _Timex(ctypes.Structure):
    """The beginning of adjtimex(2)'s structure, and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def read() -> Clocks:
    """Those of this machine."""
    timex = _Timex()  # modes 0: only looks
    try:
        known = ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) >= 0
    except AttributeError:  # not Linux
        known = False
    about = time.get_clock_info("monotonic")
    readings = [time.monotonic_ns() for _ in range(1000)]
    return Clocks(
        time.time(),
        not timex.status & _UNSYNCHRONISED if known else None,
        timex.maxerror / 1e3,
        about.resolution,
        about.monotonic and readings == sorted(readings),
    )


def check(clocks: Clocks) -> list[Check]:
    """Of the time of day, and of the clock that ages and timeouts go by."""
    return [_utc(clocks), _monotonic(clocks)]


def _utc(clocks: Clocks) -> Check:
    name = "time of day"
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(clocks.utc_s))
    service = "run: timedatectl set-ntp true, or install chrony"
    if clocks.utc_s < _2025_S:
        return Check(name, Grade.FAIL, f"{shown}: it was never set", service)
    if clocks.synchronised is None:
        return Check(name, Grade.WARN, f"{shown}; whether it is kept right is not known", service)
    if not clocks.synchronised:
        remedy = f"{service}; messages carry this time where a camera gives none"
        return Check(name, Grade.WARN, f"{shown}, kept right by nobody", remedy)
    return Check(name, Grade.OK, f"{shown}, right within {clocks.error_ms:.0f} ms")


def _monotonic(clocks: Clocks) -> Check:
    found = f"in steps of {clocks.resolution_s * 1e9:.0f} ns"
    if clocks.monotonic and clocks.resolution_s <= 1e-3:
        return Check("monotonic clock", Grade.OK, found)
    text = found if clocks.monotonic else "it goes back"
    return Check("monotonic clock", Grade.FAIL, text, "use another kernel or virtual machine")

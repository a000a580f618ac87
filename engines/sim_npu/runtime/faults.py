"""What goes wrong with a device, on demand: written in a configuration, or ordered by a test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any

from engines.errors import OptionError
from engines.sim_npu.runtime.device import Device


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of fault.

    Attributes:
        begin: orders it, with its amount.
        end: takes back what a boot does not.
        amount: what is to be counted; empty where there is nothing to count.
        usual: amount where none is given; 0: all there is.
    """

    begin: Callable[[Device, float], None]
    end: Callable[[Device], None] = lambda device: None
    amount: str = ""
    usual: float = 0


KINDS = {
    "gone": _Kind(lambda device, _: device.pull(), Device.plug),
    "hang": _Kind(lambda device, _: device.hang()),
    "crash": _Kind(lambda device, _: device.crash()),
    "flip": _Kind(lambda device, n: device.flip(int(n)), lambda d: d.flip(0), "bits", 1),
    "throttle": _Kind(Device.throttle, lambda d: d.throttle(1), "times as slow", 2),
    "out_of_memory": _Kind(
        lambda device, n: device.take_memory(int(n) or device.profile.memory_bytes),
        lambda device: device.take_memory(0),
        "bytes",
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        what: one of `KINDS`.
        after: so many jobs of the device, since it was made; the next one meets it.
        for_s: seconds on the wall clock that it lasts, and no boot helps meanwhile; 0: it happens
            once, and a hang or crash is over with the next boot, a flip with the next result, the
            others never.
        amount: bits of a `flip`, times as slow of a `throttle`, bytes of `out_of_memory`; 0: one
            bit, twice as slow, all memory.
    """

    what: str
    after: int = 0
    for_s: float = 0.0
    amount: float = 0

    def __post_init__(self) -> None:
        if self.what not in list(KINDS):
            raise OptionError(f"what: expected one of {', '.join(KINDS)}, got {self.what!r}")
        _require("after", self.after, "a whole number of jobs ≥ 0", isinstance(self.after, int))
        _require("for_s", self.for_s, "seconds ≥ 0")
        unit = KINDS[self.what].amount
        if self.amount and not unit:
            raise OptionError(f"amount: {self.what} has none, got {self.amount!r}")
        least = 1 if self.amount else 0
        _require("amount", self.amount, f"a number of {unit} ≥ {least}", least=least)

    def begin(self, device: Device) -> None:
        """Orders it."""
        kind = KINDS[self.what]
        kind.begin(device, self.amount or kind.usual)

    def end(self, device: Device) -> None:
        """Takes it back."""
        KINDS[self.what].end(device)


def parse(entries: Any) -> tuple[Fault, ...]:
    """Faults as they are written: a list of entries with the keys of `Fault`.

    Raises `OptionError`, with the number of the entry and its key.
    """
    if not isinstance(entries, list | tuple):
        raise OptionError(f"faults: expected a list of entries, got {entries!r}")
    return tuple(_entry(number, entry) for number, entry in enumerate(entries, 1))


def _entry(number: int, entry: Any) -> Fault:
    if isinstance(entry, Fault):
        return entry
    known = [field.name for field in fields(Fault)]
    if not isinstance(entry, Mapping) or "what" not in entry or not entry.keys() <= set(known):
        raise OptionError(
            f"faults: entry {number}: expected the keys {', '.join(known)}, of which what must be "
            f"there, got {entry!r}"
        )
    try:
        return Fault(**entry)
    except OptionError as error:
        raise OptionError(f"faults: entry {number}: {error}") from None


def _require(key: str, value: Any, expected: str, also: bool = True, *, least: int = 0) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and also and least <= value < inf):
        raise OptionError(f"{key}: expected {expected}, got {value!r}")


class FaultSchedule:
    """Orders a device's faults when their time has come.

    Args:
        faults: of one device.
        clock: seconds of a monotonic clock, for how long they last.
    """

    def __init__(
        self, faults: Iterable[Fault], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._coming = list(faults)
        self._lasting: list[tuple[Fault, float]] = []
        self._clock = clock

    def __call__(self, device: Device) -> None:
        """What is over ends, what is due begins, and what lasts is ordered again."""
        now = self._clock()
        for fault in [fault for fault, until in self._lasting if now >= until]:
            fault.end(device)
        self._lasting = [(fault, until) for fault, until in self._lasting if now < until]
        due = [fault for fault in self._coming if fault.after <= device.jobs]
        self._coming = [fault for fault in self._coming if fault.after > device.jobs]
        self._lasting += [(fault, now + fault.for_s) for fault in due if fault.for_s]
        for fault in (*(f for f in due if not f.for_s), *(f for f, _ in self._lasting)):
            fault.begin(device)

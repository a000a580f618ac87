"""What goes over an engine's border: bytes, and the time that conversions and copies take.

An engine counts for itself what is copied, `engines.border` what is converted, each where it
happens, so that nothing is counted twice and what does not happen costs nothing to count. What a
library copies inside a call that also computes is part of its run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from numpy.typing import NDArray


@dataclass(slots=True)
class Work:
    """What was copied or converted.

    Attributes:
        bytes: of the arrays it was done to.
        ns: that it took, nanoseconds by the clock on the wall.
    """

    bytes: int = 0
    ns: int = 0

    def add(self, nbytes: int, started_ns: int) -> None:
        """Counts what began at `started_ns` of `time.perf_counter_ns` and is done now."""
        self.bytes += nbytes
        self.ns += perf_counter_ns() - started_ns

    def copies(self, arrays: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
        """Contiguous copies of arrays, counted."""
        started_ns = perf_counter_ns()
        copied = [array.copy() for array in arrays]
        self.add(size_of(copied), started_ns)
        return copied

    def merge(self, other: Work) -> None:
        """Adds another's counts."""
        self.bytes += other.bytes
        self.ns += other.ns


@dataclass(slots=True)
class Traffic:
    """One engine's counts since it was prepared; written by its worker, read by anybody.

    Attributes:
        forwards: that gave a result.
        run_ns: time of those, copies not counted, nanoseconds; of an isolated engine with the way
            to its process, of a remote one with the way to its server.
        bytes_in: given to the engine, as it takes them: of int8, one byte a number.
        bytes_out: taken from it, as it gives them.
        quantised: real numbers made integers before they were given.
        dequantised: integers made real numbers after they were taken.
        copied_in: copies on the way to the library's own memory, and into another process.
        copied_out: copies on the way back.
    """

    forwards: int = 0
    run_ns: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    quantised: Work = field(default_factory=Work)
    dequantised: Work = field(default_factory=Work)
    copied_in: Work = field(default_factory=Work)
    copied_out: Work = field(default_factory=Work)

    @property
    def copy_ns(self) -> int:
        """Time of all copies, nanoseconds."""
        return self.copied_in.ns + self.copied_out.ns

    @property
    def convert_ns(self) -> int:
        """Time of all conversions, nanoseconds."""
        return self.quantised.ns + self.dequantised.ns

    @staticmethod
    def total(parts: Iterable[Traffic]) -> Traffic:
        """The sum of several counts, as a copy."""
        total = Traffic()
        for part in parts:
            total.forwards += part.forwards
            total.run_ns += part.run_ns
            total.bytes_in += part.bytes_in
            total.bytes_out += part.bytes_out
            total.quantised.merge(part.quantised)
            total.dequantised.merge(part.dequantised)
            total.copied_in.merge(part.copied_in)
            total.copied_out.merge(part.copied_out)
        return total


def total_by_engine(parts: Iterable[Mapping[str, Traffic]]) -> dict[str, Traffic]:
    """The sums, as copies, of counts that are kept by the engine's id."""
    named: dict[str, list[Traffic]] = {}
    for part in parts:
        for engine, traffic in part.items():
            named.setdefault(engine, []).append(traffic)
    return {engine: Traffic.total(counts) for engine, counts in named.items()}


def size_of(arrays: Iterable[NDArray[Any]]) -> int:
    """Bytes of these arrays' elements."""
    total = 0
    for array in arrays:  # in a third of the time of `sum` over a generator
        total += array.nbytes
    return total

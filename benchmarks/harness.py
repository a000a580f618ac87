"""How to measure: in turn, in one run, as ratios.

Machines are shared and noisy: an absolute number says little, and two numbers from two moments say
nothing about each other. So variants are run in turn (`interleaved`), the order is turned round
each time, and what is told first is the median of the ratios of neighbours.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Literal, Self, TypeVar

T = TypeVar("T")

LIBRARIES = (
    *("numpy", "opencv-python-headless", "av", "onnxruntime", "filterpy"),
    *("openvino", "ncnn", "MNN", "ai-edge-litert", "torch", "apache-tvm"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark may know.

    Attributes:
        quick: a short run, to see that it works and roughly how fast it is.
        folder: for clips and results; removed afterwards.
        cores: processors this process may use.
        assets: folder with real models; None where there is none.
        peers: folder of the libraries that trackers are held against; None where there is none.
    """

    quick: bool
    folder: Path
    cores: int
    assets: Path | None
    peers: Path | None

    def take(self, quick: int, full: int) -> int:
        """One of two amounts of work."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: ``value`` or ``ratio`` at most (or at least) `limit`."""

    what: Literal["value", "ratio"]
    kind: Literal["at most", "at least"]
    limit: float

    def met(self, row: Row) -> bool:
        """Whether the row reaches it."""
        measured = row.value if self.what == "value" else row.ratio
        return measured <= self.limit if self.kind == "at most" else measured >= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        what: was measured.
        unit: of both series.
        ours: one number a round.
        beside: what it is held against; empty if nothing.
        other: its numbers, from the same rounds.
        goal: None where there is none.
    """

    what: str
    unit: str
    ours: Sequence[float]
    beside: str = ""
    other: Sequence[float] = ()
    goal: Goal | None = None

    @property
    def value(self) -> float:
        """Median over the rounds."""
        return median(self.ours)

    @property
    def ratio(self) -> float:
        """Median over the rounds of ours / other."""
        return median(a / b for a, b in zip(self.ours, self.other, strict=True))


def _version(library: str) -> str:
    """Of an installed library; empty where it is missing."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def interleaved(variants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Runs every variant once a round, every second round in reverse; gives what they gave.

    One round more is run first and not counted: it pays for imports, caches and allocations.
    """
    numbers: dict[str, list[T]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds + 1):
        for name in names if number % 2 == 0 else reversed(names):
            numbers[name].append(variants[name]())
    return {name: found[1:] for name, found in numbers.items()}


def per_call_us(
    function: Callable[[], object], calls: int, clock: Literal["cpu_s", "wall_s"] = "cpu_s"
) -> Callable[[], float]:
    """A measurement: µs of one call, over `calls` of them, by one of the clocks of `Usage`."""

    def measure() -> float:
        with Usage() as usage:
            for _ in range(calls):
                function()
        seconds: float = getattr(usage, clock)
        return seconds / calls * 1e6

    return measure


def cpu_time(function: Callable[[], T]) -> tuple[T, float]:
    """What a function gives, and the processor seconds it took, all threads included."""
    started_s = _cpu_s()
    return function(), _cpu_s() - started_s


class Usage:
    """Wall and processor seconds of a block, all threads of this process included.

    Attributes:
        wall_s: seconds that passed.
        cpu_s: processor seconds of this process and of those it has waited for.
        others: processors that everything else on the machine kept busy, on average.
    """

    def __enter__(self) -> Self:
        self._busy_s = _busy_s()
        self._cpu_s = _cpu_s()
        self._wall_s = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wall_s = time.perf_counter() - self._wall_s
        self.cpu_s = _cpu_s() - self._cpu_s
        self.others = max(0.0, (_busy_s() - self._busy_s - self.cpu_s) / self.wall_s)


def _cpu_s() -> float:
    """Of this process and of those it has waited for."""
    parts = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in parts)


def _busy_s() -> float:
    """Seconds that the processors of the machine were busy, since it was started."""
    stat = Path("/proc/stat")
    if not stat.exists():  # not Linux
        return 0.0
    fields = [int(field) for field in stat.read_text().splitlines()[0].split()[1:9]]
    idle, waiting = fields[3:5]
    return (sum(fields) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def machine(cores: int) -> str:
    """One line about what ran all this."""
    found = [(name, _version(name)) for name in LIBRARIES]
    libraries = ", ".join(f"{name} {version}" for name, version in found if version)
    return (
        f"{_processor()}, {cores} of {os.cpu_count()} cores; {platform.system()}, "
        f"Python {platform.python_version()}, {libraries}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

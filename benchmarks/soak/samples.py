"""What is seen of a process from outside, every few seconds."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import psutil

from benchmarks.soak.subject import Report


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children use.

    Attributes:
        rss_mb: resident memory, 2**20 bytes.
        pss_mb: likewise, pages shared with other processes divided among them.
        descriptors: open files and sockets.
        threads: of all of them.
        cpu_s: processor seconds so far.
    """

    rss_mb: float
    pss_mb: float
    descriptors: int
    threads: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Attributes:
        at_s: seconds since the first look.
        ran_s: seconds since frames were let in, when the process reported last.
        usage: of the process.
        cores: processors it kept busy since the last look.
        machine: share of the machine's processors that were busy since the last look, 0..1, in
            whichever part of that time, between two calls of `listen`, it was largest.
        entered: frames so far, by camera.
        emitted: frames that an output got so far, all cameras.
        dropped: frames so far, by "stage: reason".
        age_p95_ms: of what the last stage put out, since the start.
        faults: of the sources so far, by name.
    """

    at_s: float
    ran_s: float
    usage: Usage
    cores: float
    machine: float
    entered: dict[str, int]
    emitted: int
    dropped: dict[str, int]
    age_p95_ms: float
    faults: dict[str, int]


class Sampler:
    """Looks at a process, which must be running.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._started_s = self._last_s = time.monotonic()
        self._cpu_s = usage(self._process).cpu_s
        self._machine = 0.0
        psutil.cpu_percent()  # what the machine does is counted from here on

    def listen(self) -> None:
        """Notes how busy the machine was since the last call."""
        self._machine = max(self._machine, psutil.cpu_percent() / 100)

    def look(self, report: Report) -> Sample:
        """A sample now, with what the process itself reported last."""
        now_s, used = time.monotonic(), usage(self._process)
        cores = (used.cpu_s - self._cpu_s) / (now_s - self._last_s)
        self.listen()
        machine, self._machine = self._machine, 0.0
        self._last_s, self._cpu_s = now_s, used.cpu_s
        return Sample(
            now_s - self._started_s,
            report["wall_s"],
            used,
            cores,
            machine,
            {camera: account["entered"] for camera, account in report["ledger"].items()},
            sum(account["emitted"] for account in report["ledger"].values()),
            drops(report),
            report["stages"][-1]["age_p95_ms"],
            _faults(report),
        )


def usage(process: psutil.Process) -> Usage:
    """Of a process and its children now; a child that ends meanwhile is left out."""
    found = [_own(process)]
    for child in process.children(recursive=True):
        try:
            found.append(_own(child))
        except psutil.NoSuchProcess:
            continue
    return Usage(*(sum(column) for column in zip(*found, strict=True)))


def drops(report: Report) -> dict[str, int]:
    """Frames that were dropped, by "stage: reason", over all cameras."""
    found: Counter[str] = Counter()
    for account in report["ledger"].values():
        for drop in account["dropped"]:
            found[f"{drop['stage']}: {drop['reason']}"] += drop["frames"]
    return dict(found)


def _own(process: psutil.Process) -> tuple[float, float, int, int, float]:
    with process.oneshot():
        memory, times = process.memory_full_info(), process.cpu_times()
        cpu_s = times.user + times.system + times.children_user + times.children_system
        return (
            memory.rss / 2**20,
            memory.pss / 2**20,
            process.num_fds(),
            process.num_threads(),
            cpu_s,
        )


def _faults(report: Report) -> dict[str, int]:
    found: Counter[str] = Counter()
    for camera in report["cameras"]:
        found.update(camera["faults"])
    return dict(found)

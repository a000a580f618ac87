"""What this process is allowed: files, threads, memory, processors."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from pipeline.doctor.check import Check, Grade

#: For the program, and for each camera: at least twice what four 720p ones and street-pico take.
_FILES, _FILES_EACH = 64, 16
_THREADS, _THREADS_EACH = 64, 4
_MB, _MB_EACH = 300, 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is; None: no limit, or not known.

    Attributes:
        files: descriptors that may be open.
        threads: that may run, of this user or in this control group.
        memory_mb: that this control group may use, or is free on the machine if that is less.
        processors: that this process may run on.
        quota: of processors, as time, that this control group may use.
    """

    files: int | None
    threads: int | None
    memory_mb: float | None
    processors: int
    quota: float | None


def read(root: Path = Path("/")) -> Limits:
    """Those of this process.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    group = _group(root)
    memory = [_number(group / "memory.max"), _available_bytes(root)]
    threads = [_soft(resource.RLIMIT_NPROC), _number(group / "pids.max")]
    known_bytes = [value for value in memory if value is not None]
    return Limits(
        _soft(resource.RLIMIT_NOFILE),
        min((value for value in threads if value is not None), default=None),
        min(known_bytes) / 2**20 if known_bytes else None,
        len(os.sched_getaffinity(0)),
        _quota(group / "cpu.max"),
    )


def check(limits: Limits, cameras: int) -> list[Check]:
    """Whether they are enough for so many cameras."""
    return [
        _enough("open files", limits.files, _FILES + _FILES_EACH * cameras, "",
                "LimitNOFILE=65536 in the unit, or ulimit -n 65536"),
        _enough("threads", limits.threads, _THREADS + _THREADS_EACH * cameras, "",
                "TasksMax=4096 in the unit, or a higher limit of the container"),
        _enough("memory", limits.memory_mb, _MB + _MB_EACH * cameras, " MB",
                "more memory, or fewer cameras on this machine"),
        _processors(limits),
    ]  # fmt: skip


def _enough(name: str, found: float | None, needed: int, unit: str, remedy: str) -> Check:
    if found is None:
        return Check(name, Grade.OK, "no limit known")
    text = f"{found:.0f}{unit}"
    if found >= needed:
        return Check(name, Grade.OK, text)
    grade = Grade.WARN if 2 * found >= needed else Grade.FAIL
    return Check(name, grade, f"{text}, of which about {needed} are needed", f"give {remedy}")


def _processors(limits: Limits) -> Check:
    text = f"{limits.processors}"
    if limits.quota is None or limits.quota >= limits.processors:
        return Check("processors", Grade.OK, text)
    return Check(
        "processors",
        Grade.WARN,
        f"{text}, but time for {limits.quota:g} of them: workers are as many as processors",
        f"run it on {max(1, int(limits.quota))} of them: CPUAffinity= in the unit, or taskset",
    )


def _group(root: Path) -> Path:
    """The folder of this process's control group (version 2); one that is not there elsewhere."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return mounted
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    own = mounted / path.lstrip("/")
    return own if own.is_dir() else mounted  # a container sees its own group as the root


def _soft(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


def _number(path: Path) -> int | None:
    """What a file of a control group says; None for "max", and where there is none."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _quota(path: Path) -> float | None:
    """Time a period, both in microseconds (docs.kernel.org, "Control Group v2", cpu.max)."""
    try:
        time, period = path.read_text(encoding="ascii").split()
        return int(time) / int(period)
    except (OSError, ValueError):
        return None


def _available_bytes(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    kilobytes = next(found, None)
    return None if kilobytes is None else int(kilobytes) * 1024

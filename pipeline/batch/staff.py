"""The processes of a batch: which there are, what each was given, what they take."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.batch.helper import Helper, Kind, wait
from pipeline.batch.job import FollowJob, SeeJob
from pipeline.config import PipelineConfig


@dataclass(eq=False)
class Seat:
    """A process, and what it was given and has not answered, in that order.

    Attributes:
        number: among those of its kind, from 1.
    """

    helper: Helper
    number: int
    jobs: list[SeeJob | FollowJob] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.helper.kind} {self.number}"

    def give(self, job: SeeJob | FollowJob) -> None:
        """One job more."""
        self.jobs.append(job)
        self.helper.give(job)


class Staff:
    """All processes of a batch. Leaving it as a context ends them.

    Args:
        config: as `pipeline.batch.settings` gives it.
        processes: how many of each kind share the machine.

    Attributes:
        seats: those that live.
        peaks: most memory each took, bytes, by its name.
        peak_bytes: most memory they took together.
    """

    def __init__(self, config: PipelineConfig, processes: int) -> None:
        self.seats: list[Seat] = []
        self.peaks: dict[str, int] = {}
        self.peak_bytes = 0
        self._config, self._processes = config, processes

    def __enter__(self) -> Staff:
        return self

    def __exit__(self, *exc: object) -> None:
        for seat in list(self.seats):
            self.dismiss(seat)

    def of(self, kind: Kind) -> list[Seat]:
        """Those of a kind."""
        return [seat for seat in self.seats if seat.helper.kind == kind]

    def warm_up(self) -> None:
        """Starts them all, which load what they need while it is found out what there is to do.

        Raises:
            StageError: no process can be started.
        """
        for _ in range(self._processes):
            self.hire("see")
        self.hire("follow")

    def hire(self, kind: Kind) -> Seat:
        """One more. Raises `StageError` where no process can be started."""
        taken = {seat.number for seat in self.of(kind)}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        self.seats.append(Seat(Helper(self._config, kind, self._processes), number))
        return self.seats[-1]

    def dismiss(self, seat: Seat) -> None:
        """Ends a process, whatever it is at."""
        self._weigh(seat)
        self.seats.remove(seat)
        seat.helper.end()

    def wait(self, timeout_s: float) -> None:
        """Waits until one of them has something to say, or for so long."""
        wait([seat.helper for seat in self.seats], timeout_s)

    def memory(self) -> dict[str, int]:
        """Bytes each process has in memory now, and this one, by name."""
        self.peaks["parent"], now = _memory("self")
        sizes = {"parent": now} | {str(seat): self._weigh(seat) for seat in self.seats}
        self.peak_bytes = max(self.peak_bytes, sum(sizes.values()))
        return sizes

    def _weigh(self, seat: Seat) -> int:
        peak, now = _memory(str(seat.helper.pid))
        self.peaks[str(seat)] = max(self.peaks.get(str(seat), 0), peak)
        return now


def _memory(pid: str) -> tuple[int, int]:
    """The most bytes a process ever had in memory, and has now; source: proc(5). 0 elsewhere."""
    try:
        lines = Path("/proc", pid, "status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = dict(line.split(":", 1) for line in lines if line.startswith(("VmHWM", "VmRSS")))
    peak, now = (int(sizes.get(key, "0 kB").split()[0]) << 10 for key in ("VmHWM", "VmRSS"))
    return peak, now


def all_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))

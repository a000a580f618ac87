"""What became of a run of a batch, and what was measured."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.batch.staff import Staff, all_cores
from pipeline.batch.work import INTERRUPTED, Work
from pipeline.report import EXIT_ABORTED, EXIT_FAILED, EXIT_OK, EXIT_PARTIAL


@dataclass(frozen=True)
class BatchReport:
    """What a run of a batch did.

    Attributes:
        out: the folder with the results.
        complete: clips of the batch that are complete now, this run's and earlier ones'.
        made: those that this run completed.
        failed: why inputs are not complete, by the names of their clips.
        ended_early: why not all was tried; empty where it was.
        run: what was measured, as ``run.json`` has it.
    """

    out: Path
    complete: tuple[str, ...]
    made: tuple[str, ...]
    failed: Mapping[str, str]
    ended_early: str
    run: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """0 fine; 3 inputs failed; 1 it could not go on; 130 interrupted."""
        if self.ended_early:
            return EXIT_ABORTED if self.ended_early == INTERRUPTED else EXIT_FAILED
        return EXIT_PARTIAL if self.failed else EXIT_OK

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "out": str(self.out),
            "exit_code": self.exit_code,
            "complete": list(self.complete),
            "made": list(self.made),
            "failed": dict(self.failed),
            "ended_early": self.ended_early,
            "run": dict(self.run),
        }


def cpu_s() -> float:
    """Processor seconds of this process and of those it started that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def measured(
    work: Work, staff: Staff, bindings: Mapping[str, str], wall_s: float, used_s: float
) -> dict[str, Any]:
    """What ``run.json`` says.

    Args:
        work: that is over.
        staff: that did it; all have ended.
        bindings: what the stages ran on, by name.
        wall_s: since the run began, seconds.
        used_s: processor seconds of all processes since then.
    """
    standing = work.progress.standing(wall_s, {})
    machine_s = wall_s * all_cores()
    stages = [
        {"name": name, "binding": bindings.get(name, ""), "busy": busy_s / machine_s}
        for name, busy_s in sorted(work.stages.items(), key=lambda item: -item[1])
    ]
    return {
        "wall_s": wall_s,
        "cpu_s": used_s,
        "cores": all_cores(),
        "processes": work.processes,
        "efficiency": used_s / machine_s,
        "made": len(work.complete),
        "failed": work.failed,
        "ended_early": work.ended_early,
        "frames": standing.frames,
        "dropped": standing.dropped,
        "video_s": standing.video_s,
        "fps": standing.frames / wall_s,
        "speed": standing.video_s / wall_s,
        "bottleneck": stages[0]["name"] if stages else None,
        "stages": stages,
        "peak_bytes": staff.peak_bytes,
        "peaks": staff.peaks,
        "restarts": work.restarts,
    }

"""How busy the stages were between two looks at a run."""

from __future__ import annotations

from pipeline.report import RunReport


class Busy:
    """Looks at a run from time to time."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def since(self, report: RunReport) -> dict[str, float]:
        """Seconds that each stage's workers were busy since the last look, all together."""
        now = {s.name: s.busy * s.workers * report.wall_s for s in report.stages}
        spent = {name: busy_s - self._before.get(name, 0.0) for name, busy_s in now.items()}
        self._before = now
        return {name: busy_s for name, busy_s in spent.items() if busy_s > 0}

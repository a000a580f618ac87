"""What is told of a run in several processes, those among them that are no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from engines.isolation.restarts import together
from pipeline.errors import SightlineError, SourceError
from pipeline.report import RunReport
from pipeline.sharding.merging import merged, settled
from pipeline.sharding.place import Place
from pipeline.sharding.shard import Shard
from pipeline.worker import Failure


class Books:
    """Counts every process once: at its place or, when it has left it, in the past.

    From any thread.

    Args:
        places: processes that have reported leave them by these methods only.
        before: the report of a run that has not begun: all cameras and stages, and no frame.
    """

    def __init__(self, places: Sequence[Place], before: RunReport) -> None:
        self._places = places
        self._past = settled(before)
        self._failures: list[Failure] = []
        self._lock = threading.Lock()

    def report(self, wall_s: float) -> RunReport:
        """All processes as if they were one that has run for so long."""
        with self._lock:
            shards = [place.shard for place in self._places if place.shard is not None]
            now = [shard.report for shard in shards if shard.report is not None]
            report = merged([self._past, *now], wall_s)
        errors = {failure.where: str(failure.error) for failure in self._failures}
        return replace(
            report,
            cameras=tuple(replace(c, error=errors.get(c.id, c.error)) for c in report.cameras),
            failures=(*report.failures, *self._failures),
            restarts=together([*(place.restart for place in self._places), *report.restarts]),
        )

    def enter(self, place: Place, shard: Shard) -> None:
        """A process is at work where nothing ran."""
        with self._lock:
            place.shard, place.over = shard, False

    def leave(self, place: Place, last: RunReport | None) -> None:
        """Nothing runs at a place any more."""
        with self._lock:
            if last is not None:
                self._past = merged([self._past, last], 0.0)
            place.shard, place.over = None, True

    def fail(self, place: Place, error: SightlineError) -> None:
        """A place could not be started, and so the whole run fails."""
        self._failures.append(Failure(str(place), error, fatal=True))
        self.leave(place, None)

    def lose(self, place: Place, shard: Shard, why: str, stopping: bool) -> str:
        """Counts what was in a process that died, and says when the next one may be started.

        Args:
            why: it died.
            stopping: the run is ending, and there will be no next one.

        Returns:
            Why it died and what follows from it, in words.
        """
        now_s = time.monotonic()
        wait_s = 0.0 if stopping else place.budget.spend(now_s)
        if wait_s:
            next_one = f"next in {wait_s:g} s" if place.lives else "given up"
            why += f"; it has used up {place.budget}, {next_one}"
        with self._lock:
            if shard.report is not None:
                self._past = merged([self._past, settled(shard.report)], 0.0)
            if not stopping:
                place.restart = place.restart.again(why)
            place.shard, place.again_s = None, now_s + wait_s
        if wait_s and not place.lives:
            self._give_up(place, why)
        return why

    def _give_up(self, place: Place, why: str) -> None:
        """Recordings played from their beginning again and again would never end."""
        error = SourceError(f"{place}: {why}")
        cameras = place.config.cameras if place.config is not None else ()
        self._failures += [Failure(camera.id, error, fatal=False) for camera in cameras]
        place.over = True

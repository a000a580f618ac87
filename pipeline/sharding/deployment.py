"""A configuration at work in several processes, each with a part of the cameras."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from engines.isolation.restarts import Budget, Restart, together
from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.deployment import Deployment, LocalDeployment, check_change
from pipeline.errors import ConfigError, ReloadError, SightlineError, SourceError
from pipeline.media.sources import is_live
from pipeline.output.preview import Snapshot
from pipeline.report import RunReport
from pipeline.sharding.merging import merged, settled
from pipeline.sharding.shard import Shard, ShardLostError
from pipeline.sharding.spreading import part, places, spread
from pipeline.supervisor import Observer, Supervisor
from pipeline.tracing import Tracer
from pipeline.worker import Failure

_log = logging.getLogger(__name__)

_POLL_S = 0.05
#: How long the processes may take to end beyond `drain_s`, and again once they were told to abort.
_ENDING_S = 3.0
#: A process that could not be started, or died while it stood by, is tried again so often, seconds.
_AGAIN_S = 5.0


@dataclass(eq=False)
class _Place:
    """A place for a process: another one takes it when the process dies.

    Attributes:
        number: from 0.
        config: with the cameras of this place; None where it has none.
        shard: the process; None while there is none.
        again_s: when the next process may be started, monotonic seconds.
        over: nothing runs here, and nothing will.
        budget: for processes that died here.
        restart: what is told of them.
    """

    number: int
    config: PipelineConfig | None
    shard: Shard | None = None
    again_s: float = 0.0
    over: bool = False
    budget: Budget = field(default_factory=Budget)
    restart: Restart = field(init=False)

    def __post_init__(self) -> None:
        self.restart = Restart(str(self))
        self.over = self.config is None

    def __str__(self) -> str:
        return f"shard {self.number}"

    @property
    def lives(self) -> bool:
        """Whether it has a camera, rather than recordings only."""
        return self.config is not None and any(is_live(c.uri) for c in self.config.cameras)


class ShardedDeployment(Deployment):
    """Spreads the cameras over processes, and starts those anew that die or hang.

    Results do not depend on it: each camera's are those of a run in one process.

    Args:
        config: complete, as `pipeline.load` gives it.

    Raises:
        ConfigError, GraphError: as `pipeline.build`.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        count = places(config)
        self._shards = min(count, len(config.cameras))
        self._placed = spread([camera.id for camera in config.cameras], count, {})
        parts = self._parts(config, self._placed, count)
        self._places = [_Place(number, part) for number, part in enumerate(parts)]
        # Of processes that are no more; at first, of none: all cameras and stages, and no frame.
        self._past = settled(Supervisor(build(config)).report())
        self._failures: list[Failure] = []
        self._spare: Shard | None = None
        self._spare_s = 0.0  # when one may be started
        self._books = threading.Lock()  # a process's report is in its place, or in the past
        self._changing_hands = threading.RLock()  # of places and spare: one thread tends them
        self._changing = threading.RLock()
        self._stopping = self._aborting = False
        self._deadline_s = float("inf")
        self._started_s = self._ended_s = 0.0

    def start(self) -> bool:
        asked = []
        for place in self._places:
            if place.config is not None:
                try:
                    place.shard, number = self._launch(place.config)
                except ShardLostError as error:
                    self._fail(place, error)
                else:
                    asked.append((place, number))
        started = []
        for place, number in asked:
            started.append(self._has_started(place, number))
            self._started_s = self._started_s or time.monotonic()
        if any(failure.fatal for failure in self.report().failures):
            self.stop()
        return any(started)

    def wait(self, observer: Observer | None = None, interval_s: float = 1.0) -> RunReport:
        next_s = time.monotonic() + interval_s
        while not all(place.over for place in self._places):
            for place in self._places:
                self._tend(place)
            self._keep_a_spare()
            now_s = time.monotonic()
            if now_s > self._deadline_s:
                self._hurry()
            if observer is not None and now_s >= next_s:
                next_s = now_s + interval_s
                observer(self.report())
            time.sleep(_POLL_S)
        if self._spare is not None:
            self._spare.end()
        self._ended_s = time.monotonic()
        return self.report()

    def report(self) -> RunReport:
        wall_s = (self._ended_s or time.monotonic()) - (self._started_s or time.monotonic())
        with self._books:
            shards = [place.shard for place in self._places if place.shard is not None]
            now = [shard.report for shard in shards if shard.report is not None]
            report = merged([self._past, *now], max(0.0, wall_s))
        errors = {failure.where: str(failure.error) for failure in self._failures}
        lines = {c.id: replace(c, error=errors.get(c.id, c.error)) for c in report.cameras}
        return replace(
            report,
            finished=bool(self._ended_s),
            aborted=report.aborted or self._aborting,
            cameras=tuple(lines[c.id] for c in self.config.cameras if c.id in lines),
            failures=(*report.failures, *self._failures),
            restarts=together([*(place.restart for place in self._places), *report.restarts]),
        )

    def stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._deadline_s = time.monotonic() + self.config.run.drain_s + _ENDING_S
            self._ask_all("stop")

    def abort(self) -> None:
        self.stop()
        if not self._aborting:
            self._aborting = True
            self._deadline_s = time.monotonic() + _ENDING_S
            self._ask_all("abort")

    def apply(self, config: PipelineConfig) -> None:
        check_change(self.config, config)
        build(config)
        with self._changing:
            placed = spread([c.id for c in config.cameras], len(self._places), self._placed)
            before = [place.config for place in self._places]
            try:
                self._change(self._parts(config, placed, len(self._places)))
            except SightlineError:
                with suppress(SightlineError):  # the one to tell is the first
                    self._change(before)
                raise
            self.config, self._placed = config, placed

    def snapshot(self, camera: str) -> Snapshot | None:
        number = self._placed.get(camera)
        shard = None if number is None else self._places[number].shard
        if shard is None or shard.report is None:
            return None
        try:
            snapshot: Snapshot | None = shard.answer(shard.ask("snapshot", camera))
        except SightlineError:
            return None
        return snapshot

    def _parts(
        self, config: PipelineConfig, placed: Mapping[str, int], count: int
    ) -> list[PipelineConfig | None]:
        return [part(config, placed, number, self._shards) for number in range(count)]

    def _launch(self, config: PipelineConfig) -> tuple[Shard, int]:
        """A process that starts a part: the one that stands by, or a new one."""
        with self._changing_hands:
            shard, self._spare = self._spare, None
        if shard is None or shard.lost:
            shard = Shard()
        return shard, shard.ask("start", config)

    def _has_started(self, place: _Place, number: int) -> bool:
        """Waits until frames are let in at a place; an error ends the run."""
        shard = place.shard
        assert shard is not None  # it was launched
        try:
            if shard.answer(number):
                return True
            self._leave(place, shard.last_word())
        except SightlineError as error:
            self._fail(place, error)
        shard.end()
        return False

    def _fail(self, place: _Place, error: SightlineError) -> None:
        """A place could not be started, and so the whole run fails."""
        self._failures.append(Failure(str(place), error, fatal=True))
        self._leave(place, None)

    def _tend(self, place: _Place) -> None:
        with self._changing_hands:
            shard = place.shard
            if shard is None:
                self._revive(place)
                return
            shard.tend()
            if shard.ended and shard.report is not None:
                self._end(place, shard, shard.report)
            elif shard.lost:
                self._lose(place, shard, shard.lost)

    def _revive(self, place: _Place) -> None:
        if place.over or place.config is None or self._stopping:
            place.over = True
        elif time.monotonic() >= place.again_s:
            try:
                place.shard, _ = self._launch(place.config)
            except ShardLostError as error:
                _log.error("%s: %s", place, error)
                place.again_s = time.monotonic() + _AGAIN_S

    def _end(self, place: _Place, shard: Shard, last: RunReport) -> None:
        """A process has done all it had to, or its graph failed."""
        shard.end()
        failure = next((failure for failure in last.failures if failure.fatal), None)
        if failure is not None and not self._stopping and place.lives:
            self._lose(place, shard, f"failed: {failure.where}: {failure.error}")
            return
        self._leave(place, last)
        if failure is not None:
            self.stop()

    def _lose(self, place: _Place, shard: Shard, why: str) -> None:
        """Counts what was in a process that died, and says when the next one may be started."""
        now_s = time.monotonic()
        wait_s = 0.0 if self._stopping else place.budget.spend(now_s)
        if wait_s:
            next_one = f"next in {wait_s:g} s" if place.lives else "given up"
            why += f"; it has used up {place.budget}, {next_one}"
        _log.error("%s: %s", place, why, extra={"shard": place.number})
        with self._books:
            if shard.report is not None:
                self._past = merged([self._past, settled(shard.report)], 0.0)
            if not self._stopping:
                place.restart = place.restart.again(why)
            place.shard, place.again_s = None, now_s + wait_s
        if wait_s and not place.lives and place.config is not None:
            # Recordings played from their beginning again and again would never end.
            error = SourceError(f"{place}: {why}")
            failures = [Failure(camera.id, error, fatal=False) for camera in place.config.cameras]
            self._failures += failures
            place.over = True

    def _leave(self, place: _Place, last: RunReport | None) -> None:
        """Nothing runs at a place any more."""
        with self._books:
            if last is not None:
                self._past = merged([self._past, last], 0.0)
            place.shard, place.over = None, True

    def _keep_a_spare(self) -> None:
        """A process that has imported everything, for the place of one that dies."""
        with self._changing_hands:
            if self._spare is not None:
                self._spare.tend()
                if self._spare.lost:
                    self._spare = None
            elif not self._stopping and time.monotonic() >= self._spare_s and self._is_calm():
                self._spare_s = time.monotonic() + _AGAIN_S  # for the next one
                with suppress(ShardLostError):
                    self._spare = Shard()
                    self._spare.ask("warm_up", self.config)

    def _is_calm(self) -> bool:
        """Whether every place has its process at work, and time matters to a camera."""
        shards = [place.shard for place in self._places if not place.over]
        return all(shard is not None and shard.report is not None for shard in shards) and any(
            is_live(camera.uri) or camera.pace == "realtime" for camera in self.config.cameras
        )

    def _hurry(self) -> None:
        """The time to end is over: aborts, and kills what does not even do that."""
        if not self._aborting:
            self.abort()
            return
        for place in self._places:
            if place.shard is not None:
                place.shard.end()

    def _ask_all(self, call: str) -> None:
        for place in self._places:
            if (shard := place.shard) is not None:
                shard.ask(call)

    def _change(self, wanted: Sequence[PipelineConfig | None]) -> None:
        """Gives every place its part; raises the first error once all have answered.

        Nothing is stopped before all else has worked, as that could not be taken back.
        """
        errors: list[SightlineError] = []
        asked: list[tuple[_Place, Shard, int, PipelineConfig]] = []
        for place, config in zip(self._places, wanted, strict=True):
            if config is None:
                continue
            self._await_end_of_stopped(place)
            if place.over:
                asked.append((place, *self._launch(config), config))
            elif place.shard is not None:
                asked.append((place, place.shard, place.shard.ask("apply", config), config))
            else:
                place.config = config  # for the process that is about to be started
        for place, shard, number, config in asked:
            try:
                self._settle(place, shard, number, config)
            except ShardLostError as error:
                errors.append(ReloadError(f"{place}: {error}"))
            except SightlineError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        for place, config in zip(self._places, wanted, strict=True):
            if config is None:
                place.config = None
                if place.shard is not None:
                    place.shard.ask("stop")

    def _settle(self, place: _Place, shard: Shard, number: int, config: PipelineConfig) -> None:
        """Waits until a place has its part. Raises `SightlineError` where that failed."""
        answer = shard.answer(number)
        if shard is place.shard:
            place.config = config
        elif answer:
            place.config = config
            with self._books:
                place.shard, place.over = shard, False
        else:  # it was launched for this, and no frame was let in
            last = shard.last_word()
            shard.end()
            failures = last.failures if last else ()
            raise failures[0].error if failures else ReloadError(f"{place}: {shard.lost}")

    def _await_end_of_stopped(self, place: _Place) -> None:
        """A place that had no camera any more may still finish what was under way there."""
        while place.config is None and place.shard is not None:
            self._tend(place)
            time.sleep(_POLL_S)


def deploy(config: PipelineConfig, tracer: Tracer | None = None) -> Deployment:
    """The configuration, ready to be started.

    Args:
        config: what to run.
        tracer: says which frames' way is noted; None: no frame's.

    Raises:
        ConfigError, GraphError: as `pipeline.build`; or frames are to be traced in other processes.
    """
    if config.run.shards == 1:
        return LocalDeployment(config, tracer)
    if tracer is not None:
        raise ConfigError(
            f"{config.where('run', 'shards')}: frames are traced in one process only; "
            "add --set run.shards=1"
        )
    return ShardedDeployment(config)

"""A configuration at work in several processes, each with a part of the cameras."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.deployment import Deployment, LocalDeployment, check_change
from pipeline.errors import ConfigError, SightlineError
from pipeline.media.sources import is_live
from pipeline.output.preview import Snapshot
from pipeline.report import RunReport
from pipeline.sharding.books import Books
from pipeline.sharding.changing import change
from pipeline.sharding.place import AGAIN_S, Place, Spare
from pipeline.sharding.shard import Shard, ShardLostError
from pipeline.sharding.spreading import part, places, spread
from pipeline.supervisor import Observer, Supervisor
from pipeline.tracing import Tracer

_log = logging.getLogger(__name__)

_POLL_S = 0.05
#: How long the processes may take to end beyond `drain_s`, and again once they were told to abort.
_ENDING_S = 3.0


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
        self._places = [Place(number, part) for number, part in enumerate(parts)]
        self._books = Books(self._places, Supervisor(build(config)).report())
        self._spare = Spare()
        self._tending = threading.Lock()  # one thread at a time
        self._changing = threading.Lock()
        self._stopping = self._aborting = False
        self._deadline_s = float("inf")
        self._started_s = self._ended_s = 0.0

    def start(self) -> bool:
        asked = []
        for place in self._places:
            if place.config is not None:
                try:
                    place.shard, number = self._spare.launch(place.config)
                except ShardLostError as error:
                    self._books.fail(place, error)
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
            self._spare.keep(self.config, calm=not self._stopping and self._is_calm())
            now_s = time.monotonic()
            if now_s > self._deadline_s:
                self._hurry()
            if observer is not None and now_s >= next_s:
                next_s = now_s + interval_s
                observer(self.report())
            time.sleep(_POLL_S)
        self._spare.end()
        self._ended_s = time.monotonic()
        return self.report()

    def report(self) -> RunReport:
        wall_s = (self._ended_s or time.monotonic()) - (self._started_s or time.monotonic())
        report = self._books.report(max(0.0, wall_s))
        lines = {camera.id: camera for camera in report.cameras}
        return replace(
            report,
            finished=bool(self._ended_s),
            aborted=report.aborted or self._aborting,
            cameras=tuple(lines[c.id] for c in self.config.cameras if c.id in lines),
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

    def _has_started(self, place: Place, number: int) -> bool:
        """Waits until frames are let in at a place; an error ends the run."""
        shard = place.shard
        assert shard is not None  # it was launched
        try:
            if shard.answer(number):
                return True
            self._books.leave(place, shard.last_word())
        except SightlineError as error:
            self._books.fail(place, error)
        shard.end()
        return False

    def _tend(self, place: Place) -> None:
        with self._tending:
            shard = place.shard
            if shard is None:
                self._revive(place)
                return
            shard.tend()
            if shard.ended and shard.report is not None:
                self._end(place, shard, shard.report)
            elif shard.lost:
                self._lose(place, shard, shard.lost)

    def _revive(self, place: Place) -> None:
        if place.over or place.config is None or self._stopping:
            place.over = True
        elif time.monotonic() >= place.again_s:
            try:
                place.shard, _ = self._spare.launch(place.config)
            except ShardLostError as error:
                _log.error("%s: %s", place, error)
                place.again_s = time.monotonic() + AGAIN_S

    def _end(self, place: Place, shard: Shard, last: RunReport) -> None:
        """A process has done all it had to, or its graph failed."""
        shard.end()
        failure = next((failure for failure in last.failures if failure.fatal), None)
        if failure is not None and not self._stopping and place.lives:
            self._lose(place, shard, f"failed: {failure.where}: {failure.error}")
            return
        self._books.leave(place, last)
        if failure is not None:
            self.stop()

    def _lose(self, place: Place, shard: Shard, why: str) -> None:
        told = self._books.lose(place, shard, why, self._stopping)
        _log.error("%s: %s", place, told, extra={"shard": place.number})

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
        """Gives every place its part, or raises `SightlineError`."""
        for place, config in zip(self._places, wanted, strict=True):
            # One that had no camera any more may still finish what was under way there.
            while config is not None and place.config is None and place.shard is not None:
                self._tend(place)
                time.sleep(_POLL_S)
        change(self._places, wanted, self._spare, self._books)


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

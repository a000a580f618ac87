"""From one graph to the next while frames flow: wholly, or not at all.

Whatever can fail comes first, while the old graph runs on: new stages are opened, new files and
folders too, and stages that stay are told of new cameras. Then the sources are held for a moment
and turned to the new graph, and that is all. The old one drains as at the end of a run: each worker
of a stage that stays takes what is left in its old inbox and goes over to its new one, the others
finish and close. So no frame is lost and none overtakes another, and nobody waits for everybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pipeline.errors import ReloadError, SightlineError
from pipeline.source_worker import SourceWorker
from pipeline.stage_worker import StageWorker
from pipeline.wiring import Wiring
from pipeline.worker import Failure, OnFailure

#: How long what was opened in vain may take to close.
_CLOSING_S = 2.0


class Trial:
    """Hears of the failures of new workers: until they are needed, they are nobody's.

    Args:
        then: hears of them from then on.
    """

    def __init__(self, then: OnFailure) -> None:
        self.failures: list[Failure] = []
        self._then: OnFailure = self.failures.append
        self._later = then

    def __call__(self, failure: Failure) -> None:
        self._then(failure)

    def over(self) -> None:
        """The workers are needed now."""
        self._then = self._later


class Handover:
    """From the wiring that runs to the next one.

    `open`, then `switch`; after an error in either `cancel`, and the old one runs on.

    Args:
        old: runs.
        new: made with `before=old` and with `trial`.
        trial: of the new workers.
        start: starts workers and waits until they are open.
    """

    def __init__(
        self,
        old: Wiring,
        new: Wiring,
        trial: Trial,
        start: Callable[[Iterable[StageWorker]], None],
    ) -> None:
        self._old, self._new, self._trial, self._start = old, new, trial, start
        self._fresh = [w for stage in new.stages for w in stage.workers[stage.kept :]]
        self._expecting: list[tuple[StageWorker, str]] = []

    @property
    def arriving(self) -> list[SourceWorker]:
        """Workers of cameras that are new, or another than they were."""
        return [source for source in self._new.sources if source not in self._old.sources]

    @property
    def leaving(self) -> list[SourceWorker | StageWorker]:
        """Workers that end with the old graph."""
        staying = self._new.workers
        return [worker for worker in self._old.workers if worker not in staying]

    def open(self) -> None:
        """Opens what is new, outputs last.

        Raises:
            SightlineError: something does not open.
        """
        live = {camera.id for camera in self._new.graph.cameras if camera.live}
        for source in self.arriving:
            if source.camera not in live:
                source.open()
            self._check()
        for sinks in (False, True):
            for stage in self._new.stages:
                if stage.node.is_sink == sinks:
                    self._start(stage.workers[stage.kept :])
                    self._check()
        for stage in self._new.stages:
            for worker in stage.workers[: stage.kept]:
                self._expect(worker, stage.homes)

    def _expect(self, worker: StageWorker, cameras: Iterable[str]) -> None:
        known = {source.camera for source in self._old.sources}
        for camera in cameras:
            if camera not in known:
                self._expecting.append((worker, camera))
                worker.stage.expect(camera)

    def _check(self) -> None:
        for failure in self._trial.failures:
            raise as_our_own(failure)

    def cancel(self) -> None:
        """Closes what was opened."""
        for worker, camera in self._expecting:
            worker.stage.forget(camera)
        for worker in reversed(self._fresh):
            worker.dismiss()
            worker.join(_CLOSING_S)  # else its files would be in the way of another attempt
        for source in self.arriving:
            source.close()

    def switch(self, timeout_s: float) -> None:
        """Turns the sources, and sends everybody to their new posts.

        Raises:
            ReloadError: a source does not get rid of its frame in that time, or all have ended.
        """
        with self._held(timeout_s):
            if not any(source.feeding for source in self._old.sources):
                raise ReloadError("every camera has ended, and so does the run")
            self._trial.over()
            for stage in self._new.stages:
                for worker, post in zip(stage.workers[: stage.kept], stage.posts, strict=False):
                    worker.follow(post)
            outlets = dict(zip(self._new.sources, self._new.outlets, strict=True))
            for source in self._old.sources:
                if source in outlets:
                    source.redirect(outlets[source])
                else:
                    source.retire()

    @contextmanager
    def _held(self, timeout_s: float) -> Iterator[None]:
        """Every source waits before it hands on."""
        deadline_s = time.monotonic() + timeout_s
        held: list[SourceWorker] = []
        drops = {camera.id: camera.drops for camera in self._old.graph.cameras}
        try:
            # Last those that never wait for room: a camera is held for the shortest time.
            for source in sorted(self._old.sources, key=lambda source: drops[source.camera]):
                if not source.gate.hold(max(0.0, deadline_s - time.monotonic())):
                    raise ReloadError(
                        f"camera {source.camera!r} has waited {timeout_s:g} s for room in the "
                        "graph: a stage hangs"
                    )
                held.append(source)
            yield
        finally:
            for source in held:
                source.gate.release()


def as_our_own(failure: Failure) -> SightlineError:
    """A failure's error, as one of the tree."""
    error = failure.error
    if isinstance(error, SightlineError):
        return error
    return ReloadError(f"{failure.where}: {type(error).__name__}: {error}")

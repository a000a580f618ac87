"""A process that looks at segments or follows clips, as the one that started it sees it."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import wait as wait_for
from typing import Any, Literal

from engines.isolation.spawn import ChildProcess
from pipeline.batch.job import Answer, FollowJob, SeeJob
from pipeline.config import PipelineConfig
from pipeline.errors import StageError
from pipeline.parent import LOG, log_here

Kind = Literal["see", "follow"]


class Helper:
    """A process that runs `child`; owned by one thread.

    What it answers has to be taken now and then, also while nothing is expected: else it waits.

    Attributes:
        kind: what it does.
        died: how its process ended, in words; empty while it lives.

    Args:
        config: complete, as `pipeline.batch.settings` gives it.
        kind: ``see`` takes `SeeJob`, ``follow`` takes `FollowJob`.
        processes: how many of its kind share the machine.

    Raises:
        StageError: no process can be started.
    """

    def __init__(self, config: PipelineConfig, kind: Kind, processes: int) -> None:
        self.kind = kind
        self.died = ""
        self._heard: list[Answer] = []
        try:
            self._process = ChildProcess(f"batch, {kind}", "pipeline.batch.child")
        except OSError as error:
            raise StageError(f"no process can be started: {error}") from error
        run = config.run.model_copy(update={"shards": processes})
        self._process.send((kind, config.model_copy(update={"run": run})))

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """For `select`, while it lives: readable where there is something to take."""
        return self._process.fileno()

    def give(self, job: SeeJob | FollowJob) -> None:
        """One job more; it works on them in this order. A seer that is given the next one before it
        has answered keeps its stages busy."""
        self._process.send(("give", job))

    def ready(self, clip: str, segment: int) -> None:
        """To a follower: this segment of a clip it is at, or will be, was seen."""
        self._process.send(("ready", clip, segment))

    def finish(self) -> None:
        """No job will come any more: it ends by itself when all are done."""
        self._process.send(("finish",))

    def answers(self) -> list[Answer]:
        """What it has answered by now, without waiting; in order."""
        while not self.died and self._process.receive(0.0):
            while self._process.messages:
                self._heed(*self._process.messages.popleft())
            if self._process.closed:
                self.died = self._process.how_it_ended()
                self._process.end()
        heard, self._heard = self._heard, []
        return heard

    def end(self) -> None:
        """Kills it and gives everything back; any number of times."""
        self._process.end()
        self.died = self.died or "was ended"

    def _heed(self, kind: str, content: Any) -> None:
        if kind == LOG:
            log_here(content)
        else:
            self._heard.append(content)


def wait(helpers: Sequence[Helper], timeout_s: float) -> None:
    """Waits until one of those that live has something to say, or has died."""
    wait_for([helper.fileno() for helper in helpers if not helper.died], timeout_s)

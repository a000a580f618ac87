"""A place for a process with a part of the cameras, and a process that stands by for any place."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from engines.isolation.restarts import Budget, Restart
from pipeline.config import PipelineConfig
from pipeline.media.sources import is_live
from pipeline.sharding.shard import Shard, ShardLostError

#: A process that could not be started, or died while it stood by, is tried again so often, seconds.
AGAIN_S = 5.0


@dataclass(eq=False)
class Place:
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


class Spare:
    """A process that has imported everything, for the place of one that dies; from any thread."""

    def __init__(self) -> None:
        self._shard: Shard | None = None
        self._next_s = 0.0  # when one may be started
        self._lock = threading.Lock()

    def launch(self, config: PipelineConfig) -> tuple[Shard, int]:
        """A process that starts a part: the one that stands by, or a new one.

        Returns:
            The process, and the number under which it answers.

        Raises:
            ShardLostError: no process can be started.
        """
        with self._lock:
            shard, self._shard = self._shard, None
        if shard is None or shard.lost:
            shard = Shard()
        return shard, shard.ask("start", config)

    def keep(self, config: PipelineConfig, calm: bool) -> None:
        """Looks after it.

        Args:
            config: whose engines it imports.
            calm: whether there is time to start one where there is none.
        """
        with self._lock:
            if self._shard is not None:
                self._shard.tend()
                if self._shard.lost:
                    self._shard = None
            elif calm and time.monotonic() >= self._next_s:
                self._next_s = time.monotonic() + AGAIN_S
                with suppress(ShardLostError):
                    self._shard = Shard()
                    self._shard.ask("warm_up", config)

    def end(self) -> None:
        """Ends it, if there is one."""
        with self._lock:
            if self._shard is not None:
                self._shard.end()

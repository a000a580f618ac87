"""One process with a part of the cameras, as its deployment sees it."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

from engines.isolation.spawn import ChildProcess
from pipeline.errors import StageError
from pipeline.health import Limits, health
from pipeline.parent import LOG, log_here
from pipeline.report import RunReport

#: A process says so often how it is doing, seconds.
BEAT_S = 0.25
#: One that has not for so long hangs, and is killed, seconds.
SILENCE_S = 1.5
#: One of whose stages took nothing for so long while packets waited for it hangs as well, seconds.
HUNG_S = 30.0
#: What starting or changing a graph may take: some devices compile for minutes. Seconds.
LOAD_S = 300.0
_SLOW = ("start", "apply")
_POLL_S = 0.02
#: So many messages are taken at once, so that what talks without end holds nobody up.
_MOST = 256


class ShardLostError(StageError):
    """The process died, or hung and was killed, and can be asked nothing more."""


class Shard:
    """A process that runs `child`; from any thread.

    Attributes:
        report: its run so far, as last told; None before its frames were let in.
        ended: whether its run is over, and `report` final.
        lost: how it died, in words; empty while it lives.

    Raises:
        ShardLostError: no process can be started.
    """

    def __init__(self) -> None:
        self.report: RunReport | None = None
        self.ended = False
        self.lost = ""
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._slow: set[int] = set()  # asked for what takes long, and not answered
        self._answers: dict[int, tuple[Exception | None, Any]] = {}
        self._heard_s = float("inf")  # nothing is expected before it was asked to start
        self._looked: RunReport | None = None  # the report that progress is measured from
        try:
            self._process = ChildProcess("a shard", "pipeline.sharding.child")
        except OSError as error:
            raise ShardLostError(f"no process can be started: {error}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, call: str, *arguments: Any) -> int:
        """Asks for a method of `child.Servant`; gives the number under which `answer` comes."""
        with self._lock:
            number = next(self._numbers)
            if call in _SLOW:
                self._slow.add(number)
                self._heard_s = time.monotonic()
            self._process.send((number, call, arguments))
            return number

    def answer(self, number: int) -> Any:
        """Waits for an answer.

        Raises:
            ShardLostError: the process died meanwhile.
            SightlineError: its own.
        """
        self.tend()
        while number not in self._answers:
            if self.lost:
                raise ShardLostError(self.lost)
            time.sleep(_POLL_S)
            self.tend()
        error, value = self._answers.pop(number)
        if error is not None:
            raise error
        return value

    def last_word(self) -> RunReport | None:
        """Waits for the end of a run that is ending; gives its report, None where it died first."""
        while not self.ended and not self.lost:
            self.tend()
            time.sleep(_POLL_S)
        return self.report if self.ended else None

    def tend(self) -> None:
        """Takes what the process has sent; kills it where it hangs, and notes where it died."""
        with self._lock:
            if self.lost:
                return
            for _ in range(_MOST):
                came = self._process.receive(0.0)
                while self._process.messages:
                    self._heard_s = time.monotonic()
                    self._heed(*self._process.messages.popleft())
                if not came or self._process.closed:
                    break
            limit_s = LOAD_S if self._slow or self.report is None else SILENCE_S
            if self._process.closed:
                self._lose(self._process.how_it_ended())
            elif time.monotonic() - self._heard_s > limit_s and not self.ended:
                self._process.kill()
                self._lose(f"gave no sign of life for {limit_s:g} s and was killed")
            elif why := self._hangs():
                self._process.kill()
                self._lose(f"was killed, as a stage hung: {why}")

    def end(self) -> None:
        """Kills the process and gives everything back; any number of times."""
        with self._lock:
            self._process.end()
            self.lost = self.lost or "was ended"

    def _heed(self, kind: str, *parts: Any) -> None:
        if kind == "answer":
            number, error, value = parts
            self._slow.discard(number)
            self._answers[number] = error, value
        elif kind == LOG:
            log_here(*parts)
        else:
            (self.report,) = parts
            self.ended = kind == "ended"

    def _hangs(self) -> str:
        """Which of its stages does, in words; looked at from time to time."""
        now, before = self.report, self._looked
        if now is None or self._slow or (before and now.wall_s - before.wall_s < HUNG_S):
            return ""
        self._looked = now
        return "; ".join(health(now, before, Limits(HUNG_S)).reasons) if not now.finished else ""

    def _lose(self, how: str) -> None:
        self._process.end()
        self.lost = "has ended" if self.ended else f"its process {how}"

"""``python -m pipeline.sharding.child SOCKET``: a part of the cameras, run for another process.

What `pipeline.sharding.shard` starts. It imports everything first and then waits to be asked, so
that a process that stands by can take over within a fraction of a second.
"""

from __future__ import annotations

import logging
import logging.handlers
import pickle
import queue
import threading
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from engines import engine_class
from engines.isolation.spawn import from_the_parent
from pipeline.config import PipelineConfig
from pipeline.deployment import LocalDeployment
from pipeline.errors import StageError
from pipeline.report import RunReport
from pipeline.sharding.shard import BEAT_S
from pipeline.worker import Background


class Servant:
    """Does what the parent asks.

    Args:
        channel: to the parent.
    """

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._deployment: LocalDeployment | None = None

    def serve(self) -> None:
        """Answers until nobody asks any more."""
        while True:
            try:
                number, call, arguments = self._channel.recv()
            except EOFError:
                return
            if call == "warm_up":
                self._answer(number, partial(warm_up, *arguments))
            elif call == "start":
                Background("run", partial(self._run, number, *arguments)).start()
            else:
                self._answer(number, partial(getattr(self._deployment, call), *arguments))

    def tell(self, *message: Any) -> None:
        """Sends a message; from any thread."""
        with self._lock:
            self._channel.send(message)

    def _run(self, number: int, config: PipelineConfig, stop: threading.Event) -> None:
        """Runs a configuration from beginning to end; answers as soon as frames are let in."""

        def start() -> bool:
            self._deployment = LocalDeployment(config)
            return self._deployment.start()

        self._answer(number, start)
        if self._deployment is not None:
            tell = partial(self.tell, "report")
            report = self._deployment.wait(lambda report: tell(portable(report)), BEAT_S)
            self.tell("ended", portable(report))

    def _answer(self, number: int, do: Any) -> None:
        try:
            self.tell("answer", number, None, do())
        except Exception as error:  # another process waits for the answer, whatever it is
            self.tell("answer", number, _portable(error), None)


def warm_up(config: PipelineConfig) -> None:
    """Imports the libraries of the engines; touches no device, which others may be using."""
    for engine in config.engines.values():
        engine_class(engine.backend).describe()


class _LogSocket(logging.handlers.QueueHandler):
    """Sends what is logged here to the parent, which logs it."""

    def __init__(self, servant: Servant) -> None:
        super().__init__(queue.SimpleQueue())
        self._servant = servant

    def enqueue(self, record: logging.LogRecord) -> None:
        self._servant.tell("log", record)


def portable(report: RunReport) -> RunReport:
    """The report with errors that can go to another process."""
    failures = tuple(replace(f, error=_portable(f.error)) for f in report.failures)
    return replace(report, failures=failures)


def _portable(error: Exception) -> Exception:
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        pass  # its class, or what it holds, does not travel
    return StageError(f"{type(error).__name__}: {error}")


def main() -> None:
    """Serves the parent until it lets go."""
    channel, _ = from_the_parent()
    servant = Servant(channel)
    logging.basicConfig(level=logging.INFO, handlers=[_LogSocket(servant)])
    servant.serve()


if __name__ == "__main__":
    main()

"""``python -m pipeline.sharding.child SOCKET``: a part of the cameras, run for another process.

What `pipeline.sharding.shard` starts. It imports everything first and then waits to be asked, so
that a process that stands by can take over within a fraction of a second.
"""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from engines import engine_class
from engines.isolation.spawn import from_the_parent
from pipeline.config import PipelineConfig
from pipeline.deployment import LocalDeployment
from pipeline.errors import StageError
from pipeline.parent import Parent
from pipeline.report import RunReport
from pipeline.sharding.shard import BEAT_S
from pipeline.worker import Background


class Servant:
    """Does what the parent asks.

    Args:
        parent: that asks.
    """

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._deployment: LocalDeployment | None = None

    def serve(self) -> None:
        """Answers until nobody asks any more."""
        while True:
            try:
                number, call, arguments = self._parent.hear()
            except EOFError:
                return
            if call == "warm_up":
                self._answer(number, partial(warm_up, *arguments))
            elif call == "start":
                Background("run", partial(self._run, number, *arguments)).start()
            else:
                self._answer(number, partial(getattr(self._deployment, call), *arguments))

    def _run(self, number: int, config: PipelineConfig, stop: threading.Event) -> None:
        """Runs a configuration from beginning to end; answers as soon as frames are let in."""

        def start() -> bool:
            self._deployment = LocalDeployment(config)
            return self._deployment.start()

        self._answer(number, start)
        if self._deployment is not None:
            tell = partial(self._parent.tell, "report")
            report = self._deployment.wait(lambda report: tell(portable(report)), BEAT_S)
            self._parent.tell("ended", portable(report))

    def _answer(self, number: int, do: Any) -> None:
        try:
            self._parent.tell("answer", number, None, do())
        except Exception as error:  # another process waits for the answer, whatever it is
            self._parent.tell("answer", number, _portable(error), None)


def warm_up(config: PipelineConfig) -> None:
    """Imports the libraries of the engines; touches no device, which others may be using."""
    for engine in config.engines.values():
        engine_class(engine.backend).describe()


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
    parent = Parent(channel)
    parent.take_log()
    Servant(parent).serve()


if __name__ == "__main__":
    main()

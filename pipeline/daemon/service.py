"""Runs a deployment as a service: heeds signals, tells how it goes, and ends in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGTERM
from threading import Event

import structlog

import pipeline
from pipeline.daemon.logs import LogStyle, set_up
from pipeline.daemon.signals import Signals
from pipeline.daemon.systemd import Notifier
from pipeline.report import RunReport
from pipeline.supervisor import Supervisor
from pipeline.worker import Background

_log = structlog.stdlib.get_logger(__name__)

#: How often the run is looked at, seconds.
_LOOK_S = 0.5


def serve(path: Path, overrides: Sequence[str], style: LogStyle) -> RunReport:
    """Runs a configuration file as a daemon, until it is asked to end or its files have ended.

    Args:
        path: of the configuration; read again at every reload.
        overrides: as ``--set`` gives them.
        style: of the log on stdout.

    Raises:
        SightlineError: nothing could be started.
    """
    config = pipeline.load(path, overrides)
    set_up(style, config.hide)
    _log.info("start", config=str(path), pid=os.getpid(), cameras=[c.id for c in config.cameras])
    return Service(Supervisor(pipeline.build(config)), Notifier.from_environment()).run()


class Service:
    """One deployment, watched and steered.

    Args:
        deployment: not started yet.
        notifier: of the service manager.
    """

    def __init__(self, deployment: Supervisor, notifier: Notifier) -> None:
        self._deployment = deployment
        self._notifier = notifier
        self._ends = Signals(SIGTERM, SIGINT)

    def run(self) -> RunReport:
        """Runs to the end, in the main thread; gives the final report, which is also logged."""
        ender = Background("ender", self._end_when_asked)
        with self._ends.heeded():
            ender.start()
            if self._deployment.start():
                self._say_ready()
            report = self._deployment.wait(self._look, _LOOK_S)
            ender.stop()
        for failure in report.failures:
            _log.error("failed", where=failure.where, error=str(failure.error))
        _log.info("report", **report.to_json())
        return report

    def _say_ready(self) -> None:
        report = self._deployment.report()
        runs_on = {stage.name: stage.binding for stage in report.stages if stage.binding}
        self._notifier.ready(f"{len(report.cameras)} cameras")
        _log.info("ready", stages=runs_on)

    def _look(self, report: RunReport) -> None:
        self._notifier.status(f"{report.emitted} frames out, {report.dropped} dropped")
        self._notifier.alive()

    def _end_when_asked(self, stop: Event) -> None:
        """The first signal drains, the second one ends at once."""
        acts = iter((self._deployment.stop, self._deployment.abort))
        for name, act in zip(self._ends.each(stop), acts, strict=False):
            self._notifier.stopping()
            _log.info("stopping", why=name)
            act()

"""Runs a deployment as a service: heeds signals, tells how it goes, and ends in order."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGTERM
from threading import Event

import structlog

import pipeline
from pipeline.daemon.insight import Insight
from pipeline.daemon.journal import Journal
from pipeline.daemon.logs import LogStyle, set_up
from pipeline.daemon.signals import Signals
from pipeline.daemon.systemd import Notifier
from pipeline.deployment import Deployment, deploy
from pipeline.errors import SightlineError
from pipeline.health import Limits
from pipeline.report import EXIT_FAILED, RunReport
from pipeline.worker import Background

_log = structlog.stdlib.get_logger("sightline")

#: How often the run is looked at, seconds.
_LOOK_S = 0.5
_STATUS_S = 5.0
#: What these say as it happens, the journal says with how long it took.
_TOLD_BY_THE_JOURNAL = ("pipeline.media.live", "pipeline.escalation")


def serve(path: Path, overrides: Sequence[str], style: LogStyle) -> int:
    """Runs a configuration file as a daemon, until it is asked to end or its files have ended.

    Args:
        path: of the configuration; read again at every reload.
        overrides: as ``--set`` gives them.
        style: of the log on stdout.

    Returns:
        The exit code, as of any run.

    Raises:
        SightlineError: nothing could be started.
    """
    config = pipeline.load(path, overrides)
    deployment = deploy(config)
    set_up(style, lambda text: deployment.config.hide(text))
    for name in _TOLD_BY_THE_JOURNAL:
        logging.getLogger(name).setLevel(logging.ERROR)
    cameras = [camera.id for camera in config.cameras]
    service = Service(deployment, Notifier.from_environment())
    version = service.insight.version
    _log.info("start", version=version, config=str(path), pid=os.getpid(), cameras=cameras)
    try:
        return service.run().exit_code
    except SightlineError:
        raise
    except Exception:  # a traceback on stderr could tell a secret
        _log.exception("crashed")
        return EXIT_FAILED


class Service:
    """One deployment, watched and steered.

    Args:
        deployment: not started yet.
        notifier: of the service manager.

    Attributes:
        insight: what may be known of it.
    """

    def __init__(self, deployment: Deployment, notifier: Notifier) -> None:
        self._deployment = deployment
        self._notifier = notifier
        self._ends = Signals(SIGTERM, SIGINT)
        self._journal = Journal()
        limits, self._look_s = Limits(), _LOOK_S
        if notifier.watchdog_s is not None:
            # What hangs is noticed in half of the manager's patience, and alive said twice in it.
            limits = Limits(hung_s=min(limits.hung_s, notifier.watchdog_s / 2))
            self._look_s = min(_LOOK_S, notifier.watchdog_s / 2)
        self._told_s = float("-inf")
        self._stopping = False
        self.insight = Insight(deployment, limits)

    def run(self) -> RunReport:
        """Runs to the end, in the main thread; gives the final report, which is also logged."""
        ender = Background("ender", self._end_when_asked)
        with self._ends.heeded():
            ender.start()
            if self._deployment.start():
                self._say_ready()
            report = self._deployment.wait(self._look, self._look_s)
            ender.stop()
            self._say_stopping("every camera has ended")
        self._write_down(report)
        _log.info("report", **report.to_json())
        return report

    def _say_ready(self) -> None:
        report = self._deployment.report()
        runs_on = {stage.name: stage.binding for stage in report.stages if stage.binding}
        self._write_down(report)
        self._notifier.ready()
        _log.info("ready", stages=runs_on)

    def _say_stopping(self, why: str) -> None:
        if not self._stopping:
            self._stopping = True
            self.insight.stopping(why)
            self._notifier.stopping()
            _log.info("stopping", why=why)

    def _look(self, report: RunReport) -> None:
        self._write_down(report)
        if self.insight.health.live:
            self._notifier.alive()
        now_s = time.monotonic()
        if now_s - self._told_s >= _STATUS_S and not self._stopping:
            self._told_s = now_s
            self._notifier.status(self.insight.line())

    def _write_down(self, report: RunReport) -> None:
        for event in self._journal.note(report, self.insight.look(report)):
            _log.log(event.level, event.text, **event.about)

    def _end_when_asked(self, stop: Event) -> None:
        """The first signal drains, the second one ends at once."""
        for count, name in enumerate(self._ends.each(stop)):
            if count == 0:
                self._say_stopping(name)
                self._deployment.stop()
            else:
                _log.warning("stopping at once", why=f"{name} again")
                self._deployment.abort()

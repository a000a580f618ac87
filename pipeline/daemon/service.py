"""Runs a deployment as a service: heeds signals, tells how it goes, and ends in order."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from threading import Event
from typing import TYPE_CHECKING

import structlog

import pipeline
from engines import allocator
from pipeline.config import PipelineConfig
from pipeline.config.secrecy import secret_variables
from pipeline.daemon.control import Control
from pipeline.daemon.insight import Insight, version
from pipeline.daemon.journal import Journal
from pipeline.daemon.logs import LogStyle, set_up
from pipeline.daemon.signals import Signals
from pipeline.daemon.systemd import Notifier
from pipeline.deployment import Deployment
from pipeline.errors import ConfigError, SightlineError
from pipeline.health import Limits
from pipeline.reloading import Reloader
from pipeline.report import EXIT_FAILED, RunReport
from pipeline.sharding.deployment import deploy
from pipeline.worker import Background

if TYPE_CHECKING:
    from pipeline.daemon.http.server import Server

_log = structlog.stdlib.get_logger("sightline")

#: How often the run is looked at, seconds.
_LOOK_S = 0.5
_STATUS_S = 5.0
#: So often memory is given back: left alone, what requests leave in circles waits for minutes.
_TIDY_S = 60.0
#: What runs beside the graph has so long to end, seconds.
_HELPER_S = 5.0
#: What these say, the journal and the control say in full.
_TOLD_HERE = ("pipeline.media.live", "pipeline.escalation", "pipeline.reloading")


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
    allocator.keep_flat()
    notifier = Notifier.from_environment()
    environment = dict(os.environ)
    config = pipeline.load(path, overrides)
    for name in secret_variables(config, environment):
        del os.environ[name]  # children get the rest; a reload reads what was kept
    try:
        deployment = deploy(config)
        set_up(style, lambda text: deployment.config.hide(text))
        for name in _TOLD_HERE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        cameras = [camera.id for camera in config.cameras]
        _log.info("start", version=version(), config=str(path), pid=os.getpid(), cameras=cameras)
        reloader = Reloader(deployment, path, overrides, environment)
        return Service(deployment, reloader, notifier).run().exit_code
    except SightlineError as error:
        error.args = (config.hide(str(error)),)  # it goes to stderr, past the log
        raise
    except Exception:  # so would its traceback
        _log.exception("crashed")
        return EXIT_FAILED


class Service:
    """One deployment, watched and steered.

    Args:
        deployment: not started yet.
        reloader: of it.
        notifier: of the service manager.

    Raises:
        ConfigError: the page cannot be served.
    """

    def __init__(self, deployment: Deployment, reloader: Reloader, notifier: Notifier) -> None:
        self._deployment = deployment
        self._notifier = notifier
        self._ends, self._hangups = Signals(SIGTERM, SIGINT), Signals(SIGHUP)
        self._journal = Journal()
        limits, self._look_s = Limits(), _LOOK_S
        if notifier.watchdog_s is not None:
            # What hangs is noticed in half of the manager's patience, and alive said twice in it.
            limits = Limits(hung_s=min(limits.hung_s, notifier.watchdog_s / 2))
            self._look_s = min(_LOOK_S, notifier.watchdog_s / 2)
        self._told_s = self._tidied_s = float("-inf")
        self._stopping = False
        self._insight = Insight(deployment, limits)
        self._control = Control(reloader, notifier)
        self._server = self._page(deployment.config)

    def run(self) -> RunReport:
        """Runs to the end, in the main thread; gives the final report, which is also logged."""
        with self._ends.heeded(), self._hangups.heeded(), ExitStack() as helpers:
            for helper in self._from_the_start():
                _start(helper, helpers)
            if self._deployment.start():
                self._say_ready()
                for helper in self._once_ready():
                    _start(helper, helpers)
            report = self._deployment.wait(self._look, self._look_s)
            self._say_stopping("every camera has ended")
        self._write_down(report)
        report = replace(report, energy=self._insight.energy)
        _log.info("report", **report.to_json())
        return report

    def _from_the_start(self) -> Iterator[Background | Server]:
        yield Background("ender", self._end_when_asked)
        if self._server is not None:
            yield self._server

    def _once_ready(self) -> Iterator[Background]:
        yield Background("reloader", self._reload_when_asked)
        if self._deployment.config.run.watch:
            yield Background("watch", self._control.watch)

    def _page(self, config: PipelineConfig) -> Server | None:
        if config.http is None:
            return None
        try:
            from pipeline.daemon.http.server import Server
        except ImportError as error:
            raise ConfigError(
                f"{config.where('http')}: {error.name} is not installed: pip install "
                "'sightline[serve]', or leave http out"
            ) from None
        server = Server(config, self._insight, self._control)
        _log.info("listening", url=server.url)
        return server

    def _say_ready(self) -> None:
        report = self._deployment.report()
        runs_on = {stage.name: stage.binding for stage in report.stages if stage.binding}
        self._write_down(report)
        self._notifier.ready()
        _log.info("ready", stages=runs_on)

    def _say_stopping(self, why: str) -> None:
        if not self._stopping:
            self._stopping = True
            self._insight.stopping(why)
            self._notifier.stopping()
            _log.info("stopping", why=why)

    def _look(self, report: RunReport) -> None:
        self._write_down(report)
        if self._insight.health.live:
            self._notifier.alive()
        now_s = time.monotonic()
        if now_s - self._told_s >= _STATUS_S and not self._stopping:
            self._told_s = now_s
            self._notifier.status(self._insight.line())
        if now_s - self._tidied_s >= _TIDY_S:
            self._tidied_s = now_s
            gc.collect()
            allocator.give_back()

    def _write_down(self, report: RunReport) -> None:
        for event in self._journal.note(report, self._insight.look(report)):
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

    def _reload_when_asked(self, stop: Event) -> None:
        for name in self._hangups.each(stop):
            self._control.reload(name)


def _start(helper: Background | Server, helpers: ExitStack) -> None:
    """Starts what runs beside the graph, and ends it with the others."""
    helper.start()
    helpers.callback(helper.stop, _HELPER_S)

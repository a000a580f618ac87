"""A configuration at work: something that runs, tells how it is doing, and can be changed."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.errors import ConfigError
from pipeline.output.preview import PREVIEW, PreviewSink, Snapshot
from pipeline.report import RunReport
from pipeline.supervisor import Observer, Supervisor
from pipeline.tracing import Tracer


class Deployment(ABC):
    """One configuration at work, in this process or in several.

    `start`, then `wait`, in one thread; everything else may be called from any.

    Attributes:
        config: what runs now.
    """

    config: PipelineConfig

    @abstractmethod
    def start(self) -> bool:
        """Opens everything and lets the frames in; says whether it did. `wait` must follow."""

    @abstractmethod
    def wait(self, observer: Observer | None = None, interval_s: float = 1.0) -> RunReport:
        """Waits for the end; gives the final report.

        Args:
            observer: called in this thread with a report so far, every `interval_s` seconds.
        """

    @abstractmethod
    def report(self) -> RunReport:
        """The run so far, or the finished run."""

    @abstractmethod
    def stop(self) -> None:
        """Takes no more frames; what is under way has `drain_s` to finish."""

    @abstractmethod
    def abort(self) -> None:
        """Ends now: what is under way is dropped and counted."""

    @abstractmethod
    def apply(self, config: PipelineConfig) -> None:
        """Goes over to another configuration, wholly or not at all.

        Cameras and stages that are the same in both lose no frame, and tracks keep their
        identities; see docs/reload.md.

        Raises:
            SightlineError: it cannot be; what ran before runs on.
        """

    @abstractmethod
    def snapshot(self, camera: str) -> Snapshot | None:
        """The camera's latest picture with what was found in it; None where there is none yet.

        There are pictures where the configuration has `http`.
        """


class LocalDeployment(Deployment):
    """A configuration at work in this process.

    Args:
        config: what to run.
        tracer: says which frames' way is noted; None: no frame's.

    Raises:
        ConfigError, GraphError: as `pipeline.build`.
    """

    def __init__(self, config: PipelineConfig, tracer: Tracer | None = None) -> None:
        self.config = config
        self._supervisor = Supervisor(build(config), tracer=tracer)

    def start(self) -> bool:
        return self._supervisor.start()

    def wait(self, observer: Observer | None = None, interval_s: float = 1.0) -> RunReport:
        return self._supervisor.wait(observer, interval_s)

    def report(self) -> RunReport:
        return self._supervisor.report()

    def stop(self) -> None:
        self._supervisor.stop()

    def abort(self) -> None:
        self._supervisor.abort()

    def apply(self, config: PipelineConfig) -> None:
        check_change(self.config, config)
        self._supervisor.replace(build(config))
        self.config = config

    def snapshot(self, camera: str) -> Snapshot | None:
        for stage in self._supervisor.copies(PREVIEW):
            if isinstance(stage, PreviewSink):
                return stage.snapshot(camera)
        return None


def check_change(now: PipelineConfig, wanted: PipelineConfig) -> None:
    """Sees that a running deployment can become another one.

    Raises:
        ConfigError: something differs that is settled at the start; names the key.
    """
    for path in (("http",), ("run", "shards"), ("run", "watch"), ("run", "max_age_ms")):
        old, new = now, wanted
        for key in path:
            old, new = getattr(old, key), getattr(new, key)
        if old != new:
            raise ConfigError(
                f"{wanted.where(*path)}: this is settled at the start; start the program again"
            )

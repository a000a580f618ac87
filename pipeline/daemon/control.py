"""What a daemon may be asked to do while it runs, by signals, files and clients alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import structlog

from pipeline.daemon.systemd import Notifier
from pipeline.reloading import Outcome, Reloader

_log = structlog.stdlib.get_logger("sightline")


class Control:
    """Changes a deployment that runs; every change is logged, and the service manager hears of it.

    All methods may be called from any thread, and give what became of it: what cannot be is no
    error here, the deployment goes on as it was.

    Args:
        reloader: of the deployment.
        notifier: of the service manager.
    """

    def __init__(self, reloader: Reloader, notifier: Notifier) -> None:
        self._reloader = reloader
        self._notifier = notifier

    @property
    def last(self) -> Outcome | None:
        """Of the last change; None where there was none yet."""
        return self._reloader.last

    def reload(self, why: str) -> Outcome:
        """Reads the configuration's file again."""
        return self._changed("reload", self._reloader.reload, asked_by=why)

    def watch(self, stop: Event) -> None:
        """Reads the file again whenever it has changed, until `stop` is set."""
        self._reloader.watch(stop, lambda: self.reload("the file changed"))

    def add(self, camera: Mapping[str, Any]) -> Outcome:
        """Adds a camera, given by the keys it would have in the file."""
        wanted = dict(camera)
        return self._changed("add", lambda: self._reloader.add(wanted), camera=wanted.get("id"))

    def remove(self, camera: str) -> Outcome:
        """Removes a camera."""
        return self._changed("remove", lambda: self._reloader.remove(camera), camera=camera)

    def pause(self, camera: str) -> Outcome:
        """Disconnects a camera, which stays known."""
        return self._changed("pause", lambda: self._reloader.pause(camera), camera=camera)

    def resume(self, camera: str) -> Outcome:
        """Connects a camera again that was paused."""
        return self._changed("resume", lambda: self._reloader.resume(camera), camera=camera)

    def _changed(self, what: str, act: Callable[[], Outcome], **about: Any) -> Outcome:
        with self._notifier.reloading():
            outcome = act()
        say = _log.info if outcome.applied else _log.warning
        say("reload", change=what, applied=outcome.applied, why=outcome.why, **about)
        return outcome

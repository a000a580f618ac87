"""A deployment that follows its file, and what people ask of it while it runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from pipeline.config import Overlay, PipelineConfig, loads, read
from pipeline.config.document import parse
from pipeline.deployment import Deployment
from pipeline.errors import ConfigError, SightlineError
from pipeline.watching import FileWatch

#: Between two looks at the file.
_WATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change went.

    Attributes:
        what: was asked for.
        applied: whether it runs now; if not, what ran before runs on.
        why: it does not, or what is different now; without secrets.
        utc_s: when, in seconds since 1970.
    """

    what: str
    applied: bool
    why: str
    utc_s: float


class Reloader:
    """Brings changes to a running deployment, one at a time; all calls from any thread.

    What was asked for at run time is put on top of the file at every reload, until the program
    ends or the file says the same; see `Overlay.settled`.

    Args:
        deployment: runs what `path` said.
        path: of the configuration.
        overrides: as in `pipeline.load`.
        environment: for ``${NAME}``; the process's own by default.
    """

    def __init__(
        self,
        deployment: Deployment,
        path: Path,
        overrides: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._deployment = deployment
        self._path = path
        self._overrides = overrides
        self._environment = environment
        self._overlay = Overlay()
        self._watch = FileWatch(path)
        self._text = read(path)
        self._changing = threading.Lock()
        self.last: Outcome | None = None

    def reload(self) -> Outcome:
        """Reads the file again."""
        return self._change("reload", self._read)

    def _read(self) -> tuple[str, Overlay]:
        text = read(self._path)
        return text, self._overlay.settled(parse(text, str(self._path), os.environ))

    def add(self, camera: Mapping[str, Any]) -> Outcome:
        """Adds a camera, given as it would be written under `cameras:`."""

        def added() -> tuple[str, Overlay]:
            if camera.get("id") in self._cameras():
                raise ConfigError(f"there is a camera {camera['id']!r} already; remove it first")
            return self._text, self._overlay.adding(camera)

        return self._change(f"add {camera.get('id')}", added)

    def remove(self, camera: str) -> Outcome:
        """Removes a camera."""
        return self._change(
            f"remove {camera}", lambda: (self._text, self._overlay.removing(self._known(camera)))
        )

    def pause(self, camera: str) -> Outcome:
        """Lets go of a camera that stays known."""
        return self._change(f"pause {camera}", lambda: self._paused(camera, True))

    def resume(self, camera: str) -> Outcome:
        """Connects to a paused camera again."""
        return self._change(f"resume {camera}", lambda: self._paused(camera, False))

    def watch(self, stop: threading.Event, act: Callable[[], object] | None = None) -> None:
        """Reloads whenever the file has changed, until `stop` is set; for a thread of its own.

        Args:
            act: what to do instead, for who tells others of a reload as well.
        """
        while not stop.wait(_WATCH_S):
            if self._watch.changed():
                (act or self.reload)()

    def _paused(self, camera: str, paused: bool) -> tuple[str, Overlay]:
        return self._text, self._overlay.pausing(self._known(camera), paused)

    def _known(self, camera: str) -> str:
        if camera not in self._cameras():
            known = ", ".join(self._cameras())
            raise ConfigError(f"there is no camera {camera!r}; there are {known}")
        return camera

    def _cameras(self) -> list[str]:
        return [camera.id for camera in self._deployment.config.cameras]

    def _change(self, what: str, wanted: Callable[[], tuple[str, Overlay]]) -> Outcome:
        """Tries what is wanted; keeps it if it runs.

        Args:
            wanted: gives the file's text, and what is put on top of it.
        """
        with self._changing:
            before = self._deployment.config
            try:
                text, overlay = wanted()
                config = loads(text, str(self._path), self._overrides, self._environment, overlay)
                self._deployment.apply(config)
            except (SightlineError, EngineError) as error:
                why = before.hide(str(error))
                self.last = Outcome(what, False, why, time.time())
            else:
                self._text, self._overlay = text, overlay
                why = _difference(before, config)
                self.last = Outcome(what, True, why, time.time())
            return self.last


def _difference(before: PipelineConfig, now: PipelineConfig) -> str:
    """What is different, for people."""
    old = {camera.id: camera for camera in before.cameras}
    new = {camera.id: camera for camera in now.cameras}
    parts = [f"camera {id_} came" for id_ in new if id_ not in old]
    parts += [f"camera {id_} went" for id_ in old if id_ not in new]
    parts += [f"camera {id_} changed" for id_ in new if id_ in old and new[id_] != old[id_]]
    for what in ("engines", "stages", "outputs", "run"):
        if getattr(before, what) != getattr(now, what):
            parts.append(f"{what} changed")
    return ", ".join(parts) or "nothing is different"

"""The process that is soaked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

Report = dict[str, Any]

#: How long it may take to drain and end, and to answer.
_END_S, _ANSWER_S = 30.0, 10.0


class Subject:
    """``sightline run --daemon`` in a process of its own, on some of the processors.

    Args:
        config: what it runs.
        page: where its page is, as in the configuration's `http.bind`.
        cores: processors it may use.
        log: where its log goes.

    Attributes:
        pid: of the process.
    """

    def __init__(self, config: Path, page: str, cores: Sequence[int], log: Path) -> None:
        self._config, self._page, self._cores, self._log = config, page, cores, log

    def __enter__(self) -> Self:
        program = [sys.executable, "-m", "pipeline.cli.main", "run", "--daemon", "--log", "json"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*program, str(self._config)],
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, self._cores),
            )
        self.pid = self._process.pid
        return self

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def report(self) -> Report | None:
        """How it is doing, by its page; None where that does not answer."""
        with (
            suppress(URLError, TimeoutError, ConnectionError),
            urlopen(f"http://{self._page}/status", timeout=_ANSWER_S) as answer,
        ):
            found: Report = json.load(answer)["report"]
            return found
        return None

    def stop(self) -> tuple[int, Report]:
        """Asks it to drain; gives its exit code and its last report, empty if there was none."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_END_S)
        lines = map(json.loads, self._log.read_text(encoding="utf-8").splitlines())
        return code, next((line for line in lines if line.get("event") == "report"), {})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

"""The process that is soaked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Report = dict[str, Any]

#: How long it may take to drain and end.
_END_S = 30.0


class Subject:
    """``sightline run`` in a process of its own, on some of the processors.

    Args:
        config: what it runs.
        cores: processors it may use.
        log: where its stderr goes.

    Attributes:
        pid: of the process.
        report: its latest report; empty before the first one.
    """

    def __init__(self, config: Path, cores: Sequence[int], log: Path) -> None:
        self.report: Report = {}
        self._config, self._cores, self._log = config, cores, log

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "pipeline.cli.main", "run", "--json", str(self._config)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, self._cores),
            )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """Asks it to drain; gives its exit code, and its last report is in `report`."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_END_S)
        self._reader.join()
        return code

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.report = json.loads(line)

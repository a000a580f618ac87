"""The parent's side: a library's trackers in a child process (see `runner`)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.environments import ROOT, interpreters

#: One thread everywhere, and nothing on a screen.
_ALONE = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")} | {
    "OPENCV_FOR_THREADS_NUM": "1",
    "PYTHONPATH": str(ROOT),
    "PYTHONHASHSEED": "0",
}


class PeerError(RuntimeError):
    """A peer could not do what was asked, or is no more; says which and why."""


class Peer:
    """One library's trackers; a context manager.

    Args:
        library: a module of `benchmarks.peers.libraries`.
        python: interpreter of the environment that has the library.
    """

    def __init__(self, library: str, python: Path) -> None:
        self.library, self._python = library, python

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile("w+")
        self._child = subprocess.Popen(
            [self._python, "-m", "benchmarks.peers.runner", self.library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | _ALONE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.communicate()
        self._errors.close()

    def trackers(self) -> dict[str, str]:
        """Its trackers by name, each with why it cannot run (empty where it can)."""
        return self._ask(do="list")

    def frame_us(self, tracker: str, scene: Path) -> float:
        """Processor time of one update, µs, over the whole scene."""
        found: float = self._ask(do="time", tracker=tracker, scene=str(scene))["us"]
        return found

    def tracks(self, tracker: str, scene: Path) -> NDArray[np.float64]:
        """(M, 6): index of the frame, identity, box_xyxy."""
        with tempfile.TemporaryDirectory(prefix="sightline-peer-") as folder:
            to = Path(folder) / "tracks.npy"
            self._ask(do="track", tracker=tracker, scene=str(scene), to=str(to))
            found: NDArray[np.float64] = np.load(to)
        return found

    def _ask(self, **request: str) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            PeerError: there is none, or it tells of an error.
        """
        what = " ".join(text for text in (self.library, request.get("tracker", "")) if text)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer tells
        line = self._child.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip()[-500:]
            raise PeerError(f"{what}: its process ended with {self._child.wait()}: {said}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{what}: {answer['error']}")
        return answer


@contextmanager
def running(folder: Path | None) -> Iterator[Mapping[str, Peer]]:
    """Ours, and the peers installed in `folder`, by library; each waits in its own process."""
    with ExitStack() as stack:
        yield {
            library: stack.enter_context(Peer(library, python))
            for library, python in interpreters(folder).items()
        }

"""The process of an isolated engine, as its parent sees it: asked, waited for, ended."""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engines import errors
from engines.errors import EngineLost
from engines.isolation.shared import SharedTensors, new_memory

_log = logging.getLogger(__name__)
#: How much is kept of what the process prints, bytes.
_KEPT = 4096
#: How long a process that closed its socket may take to end by itself, seconds.
_ENDING_S = 1.0


class EngineProcess:
    """One `child`, started by the constructor, which raises `OSError` where it cannot be.

    Every wait ends at once where the process dies. After `end` nothing of it remains: no zombie, no
    memory, no descriptor.

    Attributes:
        inputs: memory for what is sent to the engine.
        outputs: memory for what it gives.

    Args:
        name: of the engine, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: deque[str] = deque()  # asked, and not yet told by `answer`
        self._answers: deque[tuple[str, Any]] = deque()
        self._closed = False
        self._printed = b""
        self._memories = (new_memory(), new_memory())
        self.inputs, self.outputs = map(SharedTensors, self._memories)
        ours, theirs = socket.socketpair()
        self._socket = Connection(ours.detach())
        with theirs:
            try:
                self._process = _spawn((theirs.fileno(), *self._memories))
            except OSError:
                self._let_go()
                raise
        assert self._process.stdout is not None  # it is a pipe
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._poll.register(self._output, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, call: str, *arguments: Any) -> None:
        """Sends a small request; raises what `pickle` raises where it cannot be sent."""
        data = pickle.dumps((call, *arguments))
        self._calls.append(call)
        try:
            self._socket.send_bytes(data)
        except OSError:
            self._closed = True

    def answered(self) -> bool:
        """Whether everything asked is answered, or never will be."""
        if len(self._answers) < len(self._calls) and not self._closed:
            self._receive(0.0)  # once: what keeps printing must not keep us
        return self._closed or len(self._answers) == len(self._calls)

    def answer(self, timeout_s: float | None, since_s: float | None = None) -> Any:
        """Waits for the answer to the earliest request that has none yet.

        Args:
            timeout_s: the longest wait, seconds; None waits as long as the process lives.
            since_s: when that time began, by `time.monotonic`; None: now.

        Raises:
            EngineLost: the process died, or did not answer in time and was killed.
            EngineError: the engine's own, of the same class and with the same text.
        """
        begun_s = time.monotonic() if since_s is None else since_s
        while not self._answers:
            left_s = None if timeout_s is None else timeout_s - (time.monotonic() - begun_s)
            came = self._receive(left_s)
            if self._closed and not self._answers:
                raise self._lost(f"its process {self._end()} during {self._calls[0]}()")
            # What keeps printing comes for ever, and hangs all the same.
            if not self._answers and left_s is not None and (left_s <= 0 or not came):
                self._process.kill()
                raise self._lost(
                    f"no answer to {self._calls[0]}() within {timeout_s:g} s; its process is killed"
                )
        self._calls.popleft()
        error, value = self._answers.popleft()
        if error:
            raise getattr(errors, error)(value)
        return value

    def require_alive(self) -> None:
        """Raises `EngineLost` where the process has died since it was last asked."""
        if self._receive(0.0) and self._closed:
            raise self._lost(f"its process {self._end()} while it stood by")

    def end(self) -> None:
        """Kills the process, waits for its end and gives everything back."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._let_go()

    def _let_go(self) -> None:
        self._socket.close()
        for tensors, fd in zip((self.inputs, self.outputs), self._memories, strict=True):
            tensors.close()
            os.close(fd)

    def _receive(self, timeout_s: float | None) -> bool:
        """Waits for an answer, an end or something printed; says whether one came."""
        ready = dict(self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1e3))
        if self._output in ready and not self._listen():
            self._poll.unregister(self._output)
        if self._socket.fileno() in ready:
            try:
                self._answers.append(self._socket.recv())
            except (EOFError, OSError):
                self._closed = True
        return bool(ready)

    def _listen(self) -> bool:
        """Takes what the process printed, so that it need not wait for room; False at its end."""
        try:
            chunk = os.read(self._output, 1 << 16)
        except BlockingIOError:
            return True
        if chunk:
            self._printed = (self._printed + chunk)[-_KEPT:]
            _log.info("%s: %s", self._name, chunk.decode(errors="replace").rstrip())
        return bool(chunk)

    def _lost(self, how: str) -> EngineLost:
        return EngineLost(f"{self._name}: {how}")

    def _end(self) -> str:
        """How the process ended, and the last line it printed."""
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._listen()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        lines = self._printed.decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how} ({words!r})" if words else how


def _spawn(descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    return subprocess.Popen(
        # -P: only what we can import ourselves, and not what lies in the current directory.
        [sys.executable, "-P", "-m", "engines.isolation.child", *map(str, descriptors)],
        bufsize=0,
        stdin=subprocess.PIPE,  # nothing is written: that it closes is the sign of our death
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # our own stdout may be data that somebody reads
        pass_fds=descriptors,
        process_group=0,  # Ctrl-C is for us: what is under way is finished first
        env=os.environ | {"PYTHONPATH": path},
    )

"""The process of an isolated engine, as its parent sees it: asked, waited for, ended."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from engines import errors
from engines.errors import EngineLost
from engines.isolation.spawn import ChildWithMemory


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
        self._process = ChildWithMemory(name, "engines.isolation.child")
        self.inputs, self.outputs = self._process.blocks

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, call: str, *arguments: Any) -> None:
        """Sends a small request; raises what `pickle` raises where it cannot be sent."""
        self._process.send((call, *arguments))
        self._calls.append(call)

    def answered(self) -> bool:
        """Whether everything asked is answered, or never will be."""
        process = self._process
        if len(process.messages) < len(self._calls) and not process.closed:
            process.receive(0.0)  # once: what keeps printing must not keep us
        return process.closed or len(process.messages) == len(self._calls)

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
        process = self._process
        while not process.messages:
            left_s = None if timeout_s is None else timeout_s - (time.monotonic() - begun_s)
            came = process.receive(left_s)
            if process.closed and not process.messages:
                raise self._lost(f"its process {process.how_it_ended()} during {self._calls[0]}()")
            # What keeps printing comes for ever, and hangs all the same.
            if not process.messages and left_s is not None and (left_s <= 0 or not came):
                process.kill()
                raise self._lost(
                    f"no answer to {self._calls[0]}() within {timeout_s:g} s; its process is killed"
                )
        self._calls.popleft()
        error, value = process.messages.popleft()
        if error:
            raise getattr(errors, error)(value)
        return value

    def require_alive(self) -> None:
        """Raises `EngineLost` where the process has died since it was last asked."""
        if self._process.receive(0.0) and self._process.closed:
            raise self._lost(f"its process {self._process.how_it_ended()} while it stood by")

    def end(self) -> None:
        """Kills the process, waits for its end and gives everything back."""
        self._process.end()

    def _lost(self, how: str) -> EngineLost:
        return EngineLost(f"{self._name}: {how}")

"""Each stage alone on each of its engines, on what it is really given, in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median

from engines.measure import together
from pipeline.errors import StageError
from pipeline.graph import Node
from pipeline.placing.solo import Frame, Solo, span_ns

#: Passes over the frames that count, and frames before them that do not.
ROUNDS, WARM_UP = 3, 5
#: So long the processors are kept busy to see how many there are, seconds.
_BUSY_S = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """A stage on one engine; of times the median over the rounds of the mean over the frames.

    Attributes:
        ms: wall time a frame, by the number of copies side by side.
        cpu_ms: processor time a frame with one copy, all threads and processes together.
        thread_ms: of it, that of the stage's own thread.
        precision: that the engine says it runs in; plain code computes in fp32.
        moved_bytes: over the engine's border, both ways, a frame.
    """

    ms: Mapping[int, float]
    cpu_ms: float
    thread_ms: float
    precision: str
    moved_bytes: float


def measure(
    nodes: Mapping[str, Node], counts: Sequence[int], frames: Sequence[Frame]
) -> dict[str, Measured | str]:
    """Measures a stage.

    Args:
        nodes: the stage on each engine.
        counts: copies side by side, one measurement for each number; 1 among them.
        frames: that it meets.

    Returns:
        By engine; a text says why it cannot run the stage.
    """
    found: dict[str, Measured | str] = {}
    with ExitStack() as stack:
        trials: dict[str, _Trial] = {}
        for engine, node in nodes.items():
            trial = _Trial(node, counts, frames)
            stack.callback(trial.close)
            try:
                trial.open()
                trials[engine] = trial
            except StageError as error:
                found[engine] = str(error)
        for number in range(ROUNDS):
            for engine in list(trials)[:: 1 if number % 2 else -1]:
                try:
                    trials[engine].round()
                except StageError as error:
                    found[engine] = str(error)
                    del trials[engine]
        found |= {engine: trial.summed() for engine, trial in trials.items()}
    return {engine: found[engine] for engine in nodes}


def processors(threads: int) -> float:
    """How many processors so many threads get, beside whatever else the machine does."""
    cpu_s = time.process_time()
    _, wall_s = together([_keep_busy] * threads)
    return (time.process_time() - cpu_s) / wall_s


def _keep_busy() -> None:
    """Works without the interpreter's lock."""
    work, end_s = bytes(1 << 20), time.perf_counter() + _BUSY_S
    while time.perf_counter() < end_s:
        sha256(work)


class _Trial:
    """One stage on one engine, as many copies as are measured side by side.

    Copies on an engine stay, and see time go on from pass to pass. Copies of plain code are made
    anew, as they may remember what came.
    """

    def __init__(self, node: Node, counts: Sequence[int], frames: Sequence[Frame]) -> None:
        self._node = node
        self._counts = counts
        self._frames = frames
        self._copies: list[Solo] = []
        self._span_ns = span_ns(frames)
        self._stays = bool(node.binding.engine)
        self._passes = self._fed = 0
        self._wall_ms: dict[int, list[float]] = {count: [] for count in counts}
        self._cpu_ms: list[float] = []
        self._thread_ms: list[float] = []

    def open(self) -> None:
        """Makes every copy and lets each see a few frames. Raises `StageError`."""
        self._make()
        for copy in self._copies:
            few = self._next(1)[0][:WARM_UP]
            copy.work(few)
            self._fed += len(few)

    def round(self) -> None:
        """All frames once more for each number of copies, which share them out."""
        for count in self._counts:
            if not self._stays:
                self._make()
            shares = self._next(count)
            tasks = [partial(c.work, own) for c, own in zip(self._copies, shares, strict=False)]
            cpu_s, thread_s = self._processor_s(), time.thread_time()
            _, wall_s = together(tasks)
            cpu_s, thread_s = self._processor_s() - cpu_s, time.thread_time() - thread_s
            frames = len(self._frames)
            self._fed += frames
            self._wall_ms[count].append(wall_s / frames * 1e3)
            if count == 1:
                self._cpu_ms.append(cpu_s / frames * 1e3)
                self._thread_ms.append(thread_s / frames * 1e3)

    def summed(self) -> Measured:
        """What was found."""
        traffic = [t for copy in self._copies for t in copy.stage.traffic().values()]
        reports = self._copies[0].stage.engine_reports()
        return Measured(
            {count: median(times) for count, times in self._wall_ms.items()},
            median(self._cpu_ms),
            median(self._thread_ms),
            str(reports[0]["precision"]) if reports else "fp32",
            sum(t.bytes_in + t.bytes_out for t in traffic) / self._fed,
        )

    def close(self) -> None:
        """Gives every copy back."""
        for copy in self._copies:
            copy.stage.close()
        self._copies = []

    def _make(self) -> None:
        self.close()
        for _ in range(max(self._counts)):
            self._copies.append(Solo(self._node))
            self._copies[-1].stage.open()

    def _next(self, count: int) -> list[list[Frame]]:
        """All frames, shared out among so many copies."""
        frames = [frame.later(self._passes * self._span_ns) for frame in self._frames]
        self._passes += self._stays
        if not self._node.stage.per_camera:
            return [frames[index::count] for index in range(count)]
        cameras = sorted({frame.camera for frame in frames})
        return [
            [frame for frame in frames if cameras.index(frame.camera) % count == index]
            for index in range(count)
        ]

    def _processor_s(self) -> float:
        """Processor time so far, of this process and of isolated engines."""
        reports = [report for copy in self._copies for report in copy.stage.engine_reports()]
        return time.process_time() + sum(_spent_s(r["process"]) for r in reports if "process" in r)


def _spent_s(process: int | None) -> float:
    """Processor time of another process; 0 where this machine does not tell."""
    with suppress(OSError, ValueError, IndexError):
        # After the name, which may hold spaces: fields 14 and 15 of proc(5), in clock ticks.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = map(int, fields.split()[11:13])
        return (user + system) / os.sysconf("SC_CLK_TCK")
    return 0.0

"""How fast an engine runs a program here, in a process of its own.

The process makes the memory figure that of one engine alone, and a backend that crashes is a row
with an error instead of the end of the measurement.
"""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines import border
from engines.base import Engine
from engines.errors import EngineError
from engines.program import Program
from engines.registry import create

T = TypeVar("T")

#: Beyond its own time, how long a measurement may take for loading, seconds.
LOADING_S = 300.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: an engine as in a configuration, and its program.

    Attributes:
        backend: such as ``openvino``.
        program: that the backend runs.
        device: such as ``cpu``.
        precision: to compute in; empty: as stored.
        options: of the backend.
    """

    backend: str
    program: Program
    device: str = "cpu"
    precision: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def engine(self) -> Engine:
        """A new engine."""
        return create(self.backend, self.backend, self.device, self.precision, **self.options)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was found; times of one forward, set and get included.

    Attributes:
        precision: it really ran in.
        load_s: from nothing to ready, the library's import included.
        p50_ms: median with one worker.
        p95_ms: 95th percentile with one worker.
        cpu_ms: processor time of one forward with one worker, all threads together.
        fps: forwards a second, by the number of workers.
        memory_mb: that the process grew by, at most.
    """

    precision: str
    load_s: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    fps: dict[int, float]
    memory_mb: float

    @property
    def busy(self) -> float:
        """Cores of the host that one worker kept busy; near 0 where another device computes."""
        return self.cpu_ms / self.p50_ms

    @property
    def best_fps(self) -> float:
        """With the best number of workers."""
        return max(self.fps.values())


def measure(
    subject: Subject,
    inputs: dict[str, NDArray[Any]],
    workers: Sequence[int] = (1,),
    seconds: float = 2.0,
) -> Measurement:
    """Measures in a new process.

    Args:
        subject: what to measure.
        inputs: of one forward, by name; only read.
        workers: engines side by side, each in its thread, one measurement for each number.
        seconds: of each measurement.

    Raises:
        EngineError: the backend cannot run it, or its process died.
    """
    request = pickle.dumps((subject, inputs, tuple(workers), seconds))
    limit_s = LOADING_S + 2 * seconds * (len(workers) + 1)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "engines.measure"],
            input=request,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{subject.backend}: no result within {limit_s:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineError(
            f"{subject.backend}: its process ended with {done.returncode}: {said[-1:] or 'silent'}"
        )
    found = pickle.loads(done.stdout)
    if isinstance(found, EngineError):
        raise found
    assert isinstance(found, Measurement)
    return found


def _measure_here(
    subject: Subject, inputs: dict[str, NDArray[Any]], workers: Sequence[int], seconds: float
) -> Measurement:
    before_kb = _peak_kb()
    started = time.perf_counter()
    first = ready(subject)
    load_s = time.perf_counter() - started
    forward = forward_of(first, inputs)
    times, cpu_s = _timed(forward, seconds)
    others = [ready(subject) for _ in range(max(workers) - 1)]
    forwards = [forward, *(forward_of(engine, inputs) for engine in others)]
    fps = {n: _side_by_side(forwards[:n], seconds) for n in workers}
    grown_kb = _peak_kb() - before_kb
    precision = first.precision
    for engine in (first, *others):
        engine.destroy()
    return Measurement(
        precision,
        load_s,
        float(np.median(times)) * 1e3,
        float(np.quantile(times, 0.95)) * 1e3,
        cpu_s / len(times) * 1e3,
        fps,
        grown_kb / 1024,
    )


def _peak_kb() -> int:
    """The most memory this process has had. `getrusage` would tell that of its parent, too."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.partition("VmHWM:")[2].split()[0])


def ready(subject: Subject) -> Engine:
    """A new engine with its program."""
    engine = subject.engine()
    engine.init()
    engine.prepare(subject.program)
    return engine


def forward_of(engine: Engine, inputs: dict[str, NDArray[Any]]) -> Callable[[], None]:
    """Everything a stage does with an engine for one frame."""
    outputs = [spec.name for spec in engine.outputs]

    def forward() -> None:
        for name, array in inputs.items():
            border.give(engine, name, array)
        engine.forward()
        for name in outputs:
            border.take(engine, name)

    return forward


def _timed(forward: Callable[[], None], seconds: float) -> tuple[list[float], float]:
    """Time of each forward, and processor time of all of them, after a fifth as warm-up."""
    _until(forward, seconds / 5)
    times: list[float] = []
    cpu_s = time.process_time()
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        started = time.perf_counter()
        forward()
        times.append(time.perf_counter() - started)
    return times, time.process_time() - cpu_s


def _side_by_side(forwards: Sequence[Callable[[], None]], seconds: float) -> float:
    """Forwards a second of all together."""
    counts, took_s = together([partial(_until, forward, seconds) for forward in forwards])
    return sum(counts) / took_s


def together(tasks: Sequence[Callable[[], T]]) -> tuple[list[T], float]:
    """Does every task in a thread of its own; what they gave, and seconds until the last was done.

    A single one is done in the calling thread. The first error of a task is raised.
    """
    started = time.perf_counter()
    if len(tasks) == 1:
        given = [tasks[0]()]
    else:
        with ThreadPoolExecutor(len(tasks)) as pool:
            given = list(pool.map(lambda task: task(), tasks))
    return given, time.perf_counter() - started


def _until(forward: Callable[[], None], seconds: float) -> int:
    end, count = time.perf_counter() + seconds, 0
    while not count or time.perf_counter() < end:
        forward()
        count += 1
    return count


def serve() -> None:
    """The child: reads a request from standard input, writes what was found to standard output."""
    request = pickle.load(sys.stdin.buffer)
    # Libraries print, in C too; what they print must not come between the pickle's bytes.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    found: Measurement | EngineError
    try:
        found = _measure_here(*request)
    except EngineError as error:
        found = error
    with answer:
        pickle.dump(found, answer)


if __name__ == "__main__":
    # Through the module's own name, so that the parent knows the classes in the answer.
    from engines import measure as this

    this.serve()

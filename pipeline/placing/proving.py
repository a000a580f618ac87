"""Placements in the running graph, in turn: what they really give."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import mean

from pipeline.graph import Graph, Node
from pipeline.packet import Packet
from pipeline.placing.footage import Footage, played
from pipeline.placing.model import Goal
from pipeline.report import RunReport
from pipeline.stage import Sink
from pipeline.supervisor import Supervisor

#: A frame that is lost on its way does not hold up the next one for longer, seconds.
_LOST_S = 1.0


@dataclass(slots=True)
class Proof:
    """What one placement gave.

    Attributes:
        ms: a round: from one frame that comes out to the next, or from entrance to end.
        error: why it does not run; empty where it does.
    """

    ms: list[float] = field(default_factory=list)
    error: str = ""


def prove(
    graphs: Sequence[Graph],
    expected_ms: Sequence[float],
    footage: Sequence[Footage],
    goal: Goal,
    rounds: int,
    seconds: float,
    on_round: Callable[[int], None] = lambda number: None,
) -> list[Proof]:
    """Runs each graph once a round, every second round in reverse; outputs are not written.

    For throughput frames come as fast as the graph takes them. For latency they come from memory,
    each when the one before it is out.

    Args:
        graphs: the same stages, placed otherwise.
        expected_ms: a frame of each graph, of whatever is the goal; says how many it gets.
        footage: of their cameras.
        goal: what is measured.
        rounds: that count; one before them does not.
        seconds: that a run takes about; its beginning and end should count for little.
        on_round: told the number of each round as it begins, from 0, the one that does not count.
    """
    proofs = [Proof() for _ in graphs]
    every = list(zip(graphs, expected_ms, proofs, strict=True))
    for number in range(rounds + 1):
        on_round(number)
        for graph, ms, proof in every[:: -1 if number % 2 else 1]:
            if proof.error:
                continue
            try:
                found_ms = _run(graph, footage, goal, _times(footage, seconds, ms))
            except _RunError as error:
                proof.error = str(error)
                continue
            if number:
                proof.ms.append(found_ms)
    return proofs


class _RunError(Exception):
    """The graph does not run, or not as it is placed."""


def _times(footage: Sequence[Footage], seconds: float, ms: float) -> int:
    """How often the frames are played in so many seconds."""
    frames = sum(len(shot.frames) for shot in footage)
    return max(1, ceil(seconds * 1e3 / max(ms, 1e-3) / frames))


def _run(graph: Graph, footage: Sequence[Footage], goal: Goal, times: int) -> float:
    """Milliseconds a frame, of one run."""
    inner = graph.without_sinks()
    finish = Finish(len(inner.ends()))
    if goal == "throughput":
        inner = played(inner, footage, times)
    else:
        inner = played(inner, footage, times, decoded=False, before=finish.wait)
    for end in inner.ends():
        inner = inner.with_node(Node(f"end of {end}", End, lambda run: End(finish), (end,)))
    supervisor = Supervisor(inner)
    try:
        supervisor.start()
        report = supervisor.wait()
    except BaseException:
        supervisor.abort()
        supervisor.wait()
        raise
    _require_as_placed(inner, report)
    if not finish.ages_ms:
        raise _RunError("no frame came out")
    return finish.period_ms if goal == "throughput" else mean(finish.ages_ms)


def _require_as_placed(graph: Graph, report: RunReport) -> None:
    """Raises `_RunError` where a stage failed or left its engine."""
    if report.failures:
        raise _RunError(f"{report.failures[0].where}: {report.failures[0].error}")
    reasons = {stage.name: stage.reasons for stage in report.stages}
    for node in graph.nodes:
        if why := reasons[node.name].get(node.binding.engine):
            raise _RunError(f"stage {node.name} left its engine: {why}")


class Finish:
    """Where the branches of every frame end; safe to use from several threads.

    Attributes:
        ages_ms: of the frames that came out, from entrance to end.

    Args:
        branches: on which each frame arrives.
    """

    def __init__(self, branches: int) -> None:
        self.ages_ms: list[float] = []
        self._branches = branches
        self._arrived: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()
        self._free = threading.Semaphore(1)
        self._first_ns = self._last_ns = 0

    @property
    def period_ms(self) -> float:
        """From one frame to the next, between the first one's entrance and the last one's end."""
        return (self._last_ns - self._first_ns) / 1e6 / max(1, len(self.ages_ms))

    def wait(self) -> None:
        """Until the frame before is out, or seems to be lost."""
        self._free.acquire(timeout=_LOST_S)

    def arrive(self, packet: Packet[object]) -> None:
        """One branch of a frame has ended."""
        now_ns, frame = time.monotonic_ns(), packet.frame
        with self._lock:
            self._arrived[frame.camera, frame.sequence] += 1
            if self._arrived[frame.camera, frame.sequence] < self._branches:
                return
            del self._arrived[frame.camera, frame.sequence]
            self._first_ns = min(self._first_ns or frame.entered_ns, frame.entered_ns)
            self._last_ns = now_ns
            self.ages_ms.append((now_ns - frame.entered_ns) / 1e6)
        self._free.release()


class End(Sink[object]):
    """Tells when a frame is out, and writes nothing.

    Args:
        finish: told of every frame.
    """

    consumes = object

    def __init__(self, finish: Finish) -> None:
        self._finish = finish

    def write(self, packet: Packet[object]) -> None:
        self._finish.arrive(packet)

"""The third step in Python: run a graph to its end, or take its results one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pipeline.graph import Graph, Node
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.queues import Closed, LaneQueue, OnFull
from pipeline.report import RunReport
from pipeline.stage import Sink
from pipeline.supervisor import Supervisor

_LANE = ""


def run(graph: Graph) -> RunReport:
    """Runs a graph to its end.

    Raises:
        PipelineError: if anything failed; its first error is the first that happened.
    """
    report = Supervisor(graph).run()
    report.raise_for_failure()
    return report


class Tap(Sink[Tracked]):
    """A sink that somebody else reads; when nobody does any more, the run ends.

    Args:
        queue: shared by all taps of a run; this one is one of its producers.
    """

    consumes = Tracked

    def __init__(self, queue: LaneQueue[Packet[Any]]) -> None:
        self._queue = queue

    def write(self, packet: Packet[Tracked]) -> None:
        self._queue.put(_LANE, packet)

    def close(self) -> None:
        self._queue.close_put()


def stream(graph: Graph) -> Iterator[Packet[Tracked]]:
    """Runs the graph, outputs included, and gives every frame's result as it comes.

    Leaving the loop early stops the run. A camera's results come in its own order.

    Args:
        graph: as `pipeline.build` gives it; it need not have outputs.

    Raises:
        PipelineError: after the last result, if anything failed.
    """
    ends = graph.ends()
    queue: LaneQueue[Packet[Any]] = LaneQueue(4, {_LANE: OnFull.BLOCK}, producers=len(ends))
    for end in ends:
        graph = graph.with_node(Node(f"tap {end}", Tap, lambda run: Tap(queue), (end,)))
    supervisor = Supervisor(graph)
    try:
        if supervisor.start():
            with suppress(Closed):
                while True:
                    yield queue.get()[1]
    finally:
        queue.close_get()
        supervisor.stop()
        report = supervisor.wait()
    report.raise_for_failure()

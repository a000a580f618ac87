"""From a graph to its workers: inboxes, edges and crews; nothing is started."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.crew import Crew
from pipeline.graph import SOURCES, Camera, Graph, Node, lanes
from pipeline.ledger import Ledger
from pipeline.media.sampling import FrameSampler
from pipeline.outlet import Edge, Inbox, Outlet
from pipeline.stage import Run
from pipeline.worker import Feed, OnFailure, SourceWorker, StageWorker


@dataclass(frozen=True)
class Crewed:
    """A stage with what runs it: one inbox and crew, or one a worker where it is partitioned."""

    node: Node
    inboxes: tuple[Inbox, ...]
    crews: tuple[Crew, ...]
    workers: tuple[StageWorker, ...]


class Wiring:
    """Every worker of one run, connected.

    Attributes:
        stages: in graph order.
        sources: in the order of the cameras.

    Args:
        graph: what to wire.
        ledger: told of every frame's end.
        clock: for pacing and ages.
        stop: set when no more frames are wanted.
        broken: set once the run failed or was aborted.
        on_failure: called by a worker that failed.
    """

    def __init__(
        self,
        graph: Graph,
        ledger: Ledger,
        clock: Clock,
        stop: threading.Event,
        broken: threading.Event,
        on_failure: OnFailure,
    ) -> None:
        self._graph = graph
        self._ledger = ledger
        self._broken = broken
        self._on_failure = on_failure
        self._run = Run(secrets.randbits(64))
        self._cameras = [camera.id for camera in graph.cameras]
        self._inboxes = {node.name: self._make_inboxes(node) for node in graph.nodes}
        self.stages = [self._crewed(node) for node in graph.nodes]
        self.sources = [
            SourceWorker(_feed(camera), self._outlet(SOURCES), ledger, clock, stop, on_failure)
            for camera in graph.cameras
        ]

    def _make_inboxes(self, node: Node) -> tuple[Inbox, ...]:
        producers = sum(
            len(self._cameras) if name == SOURCES else self._graph.node(name).workers
            for name in node.after
        )
        copies = node.workers if node.stage.per_camera else 1
        return tuple(
            Inbox(node.queue, lanes(node, self._graph.cameras), producers) for _ in range(copies)
        )

    def _outlet(self, owner: str) -> Outlet:
        edges = [self._edge(owner, node) for node in self._graph.successors(owner)]
        return Outlet(owner, edges, self._ledger)

    def _edge(self, owner: str, target: Node) -> Edge:
        inboxes = self._inboxes[target.name]
        lane = owner if target.stage.joins else ""
        return Edge(
            target.name,
            inboxes,
            {camera: index % len(inboxes) for index, camera in enumerate(self._cameras)},
            {camera: camera if target.at_entrance else lane for camera in self._cameras},
        )

    def _crewed(self, node: Node) -> Crewed:
        inboxes = self._inboxes[node.name]
        members = 1 if node.stage.per_camera else node.workers
        crews = tuple(
            Crew(inbox, self._outlet(node.name), node.batch, self._cameras, members)
            for inbox in inboxes
        )
        workers = tuple(
            StageWorker(
                node.name,
                index,
                node.make(self._run),
                crews[index % len(crews)],
                self._ledger,
                self._on_failure,
                self._broken,
                node.after if node.stage.joins else None,
            )
            for index in range(node.workers)
        )
        return Crewed(node, inboxes, crews, workers)


def _feed(camera: Camera) -> Feed:
    sampler = FrameSampler(camera.max_fps, camera.every)
    return Feed(camera.id, camera.make, sampler, camera.realtime)

"""From a graph to its workers: inboxes, edges and crews; nothing is started."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.clock import Clock
from pipeline.crew import Crew
from pipeline.governor import Governor
from pipeline.graph import SOURCES, Camera, Graph, Node, lanes
from pipeline.ledger import Ledger
from pipeline.media.sampling import FrameSampler
from pipeline.numbering import Numbering
from pipeline.outlet import Edge, Inbox, Outlet
from pipeline.source_worker import Feed, SourceWorker
from pipeline.stage import Run
from pipeline.stage_worker import Post, StageWorker
from pipeline.tracing import Tracer
from pipeline.worker import OnFailure


@dataclass(frozen=True)
class Hub:
    """What all workers of one run share, whichever graph they work on.

    Attributes:
        clock: for pacing and ages.
        governor: keeps what comes out fresh.
        ledger: told of every frame's end.
        stop: set when no more frames are wanted.
        broken: set once the run failed or was aborted.
        numberings: of every camera there ever was, by its id.
        tracer: says whose way is noted; None: nobody's.
    """

    clock: Clock
    governor: Governor
    ledger: Ledger = field(default_factory=Ledger)
    stop: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)
    numberings: dict[str, Numbering] = field(default_factory=dict)
    tracer: Tracer | None = None


@dataclass(frozen=True)
class Crewed:
    """A stage with what runs it: one inbox and crew, or one a worker where it is partitioned.

    Attributes:
        run: that its copies were made for.
        homes: for each camera, which of the inboxes is its own.
        posts: each worker's.
        kept: how many of the workers, the first ones, work already; the others are new.
    """

    node: Node
    run: Run
    homes: Mapping[str, int]
    inboxes: tuple[Inbox, ...]
    crews: tuple[Crew, ...]
    posts: tuple[Post, ...]
    workers: tuple[StageWorker, ...]
    kept: int


class Wiring:
    """Every worker of one graph, connected.

    Workers of another graph that is running may be taken into this one: those of the stages and
    cameras that are the same. Nothing is done to them here; `pipeline.handover` brings them over.

    Attributes:
        stages: in graph order.
        sources: in the order of the cameras.
        outlets: of the sources.

    Args:
        graph: what to wire.
        hub: shared with `before`.
        on_failure: called by a worker that failed.
        before: what runs now, if anything does.
    """

    def __init__(
        self, graph: Graph, hub: Hub, on_failure: OnFailure, before: Wiring | None = None
    ) -> None:
        self.graph = graph
        self._hub = hub
        self._on_failure = on_failure
        self._before = {stage.node.name: stage for stage in before.stages} if before else {}
        self._run = Run(hub.governor)
        self._priorities = {camera.id: camera.priority for camera in graph.cameras}
        self._nodes = {node.name: self._resolved(node) for node in graph.nodes}
        self._homes = {name: self._house(node) for name, node in self._nodes.items()}
        self._inboxes = {name: self._make_inboxes(node) for name, node in self._nodes.items()}
        self.stages: list[Crewed] = [self._crewed(node) for node in self._nodes.values()]
        self.outlets = [self._outlet(SOURCES) for _ in graph.cameras]
        workers = {source.camera: source for source in before.sources} if before else {}
        running = {camera.id: camera for camera in before.graph.cameras} if before else {}
        self.sources: list[SourceWorker] = [
            workers[camera.id]
            if camera.id in running and camera.same(running[camera.id])
            else self._source(camera, outlet, workers.get(camera.id))
            for camera, outlet in zip(graph.cameras, self.outlets, strict=True)
        ]
        self._before = {}  # else every graph there ever was would be kept

    @property
    def stage_workers(self) -> list[StageWorker]:
        """In graph order."""
        return [worker for stage in self.stages for worker in stage.workers]

    @property
    def workers(self) -> list[SourceWorker | StageWorker]:
        """All of them, in the order in which they end."""
        return [*self.sources, *self.stage_workers]

    @property
    def cameras(self) -> list[str]:
        """Their ids."""
        return [camera.id for camera in self.graph.cameras]

    def _resolved(self, node: Node) -> Node:
        """The node as it will be run: one that stays keeps its copies, and how they are made."""
        before = self._before.get(node.name)
        if before is None or not node.same(before.node):
            return node
        workers = max(node.workers, before.node.workers)
        return replace(node, make=before.node.make, workers=workers)

    def _kept(self, node: Node) -> Crewed | None:
        """The running stage that goes on as this one, if there is one."""
        before = self._before.get(node.name)
        return before if before is not None and node.same(before.node) else None

    def _house(self, node: Node) -> Mapping[str, int]:
        """Each camera's inbox: the one it had, for there is what the stage knows of it."""
        count = node.workers if node.stage.per_camera else 1
        kept = self._kept(node)
        known = kept.homes if kept else {}
        homes = {camera: known[camera] for camera in self.cameras if camera in known}
        guests = Counter(dict.fromkeys(range(count), 0))
        guests.update(homes.values())
        for camera in self.cameras:
            if camera not in homes:
                homes[camera] = min(guests, key=guests.__getitem__)
                guests[homes[camera]] += 1
        return homes

    def _make_inboxes(self, node: Node) -> tuple[Inbox, ...]:
        producers = sum(
            len(self.cameras) if name == SOURCES else self._nodes[name].workers
            for name in node.after
        )
        copies = node.workers if node.stage.per_camera else 1
        before = self._before.get(node.name)
        follows = [*(before.inboxes if before else ()), *([None] * copies)]
        return tuple(
            Inbox(
                node.queue,
                lanes(node, self.graph.cameras),
                producers,
                self._priorities if node.at_entrance else {},
                follows[index],
            )
            for index in range(copies)
        )

    def _outlet(self, owner: str) -> Outlet:
        edges = [self._edge(owner, node) for node in self.graph.successors(owner)]
        return Outlet(owner, edges, self._hub.ledger)

    def _edge(self, owner: str, target: Node) -> Edge:
        lane = owner if target.stage.joins else ""
        return Edge(
            target.name,
            self._inboxes[target.name],
            self._homes[target.name],
            {camera: camera if target.at_entrance else lane for camera in self.cameras},
        )

    def _crewed(self, node: Node) -> Crewed:
        inboxes = self._inboxes[node.name]
        members = 1 if node.stage.per_camera else node.workers
        crews = tuple(
            Crew(inbox, self._outlet(node.name), node.batch, self.cameras, members)
            for inbox in inboxes
        )
        kept = self._kept(node)
        workers = kept.workers if kept else ()
        run = kept.run if kept else self._run
        gone = [camera for camera in kept.homes if camera not in self.cameras] if kept else []
        branches = node.after if node.stage.joins else None
        posts = tuple(
            Post(crews[index % len(crews)], branches, gone if index < len(workers) else ())
            for index in range(node.workers)
        )
        fresh = tuple(
            self._worker(node, index, run, posts[index])
            for index in range(len(workers), node.workers)
        )
        homes = self._homes[node.name]
        return Crewed(node, run, homes, inboxes, crews, posts, (*workers, *fresh), len(workers))

    def _worker(self, node: Node, index: int, run: Run, post: Post) -> StageWorker:
        before = self._before.get(node.name)
        replaced = before.workers if before and not node.same(before.node) else ()
        return StageWorker(
            node.name,
            index,
            node.make(run),
            post,
            self._hub.ledger,
            self._on_failure,
            self._hub.broken,
            replaced,
        )

    def _source(self, camera: Camera, outlet: Outlet, before: SourceWorker | None) -> SourceWorker:
        hub = self._hub
        return SourceWorker(
            self._feed(camera),
            outlet,
            hub.numberings.setdefault(camera.id, Numbering(camera.id)),
            hub.ledger,
            hub.clock,
            hub.stop,
            self._on_failure,
            before,
        )

    def _feed(self, camera: Camera) -> Feed:
        sampler = FrameSampler(camera.max_fps, camera.every)
        max_age_ns = round(self.graph.max_age_s * 1e9) if camera.drops else 0
        tracer = self._hub.tracer
        return Feed(camera.id, camera.make, sampler, camera.realtime, max_age_ns, tracer)

"""The graph: a frozen, checked description. Nothing of it is started; it can be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from pipeline.crew import Batch
from pipeline.errors import GraphError
from pipeline.media.source import Source
from pipeline.payloads import Decoded
from pipeline.queues import OnFull, Priority
from pipeline.stage import Run, Stage

#: The name under which stages refer to the cameras in `after`.
SOURCES = "decode"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a stage runs on, for the drawing and the report; empty where plain Python does it.

    Attributes:
        engine: its id; with `backend`, `device` and `precision` as in the configuration.
        model: the model or the kernel.
        why: the reason for an engine that was chosen, not named.
        behind: where it goes on if this engine fails.
    """

    engine: str = ""
    backend: str = ""
    device: str = ""
    precision: str = ""
    model: str = ""
    why: str = ""
    behind: tuple[Binding, ...] = ()

    def __str__(self) -> str:
        if not self.engine:
            return self.model
        places = ", else ".join(binding.place for binding in (self, *self.behind))
        return f"{self.model} on {places}" + (f"; {self.why}" if self.why else "")

    @property
    def place(self) -> str:
        """The engine, and what it is."""
        where = "/".join(part for part in (self.backend, self.device, self.precision) if part)
        return f"{self.engine} ({where})"


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera of the graph.

    Attributes:
        id: unique.
        uri: for people, without secrets.
        make: makes the source; called once, at the start of a run.
        live: True for a camera, False for a recording: those are opened before anything starts.
        on_full: what happens at the entrance when the graph is slower than the camera.
        max_fps: frames taken per second at most; None takes all.
        every: 1 takes all frames, 2 every second one, ….
        realtime: True where a file is played at its own speed.
        decoder: what is asked to decode it; what really did is in the run's report.
        signature: of two cameras of one id whose signatures are equal, one can go on as the other;
            None equals nothing.
        priority: whose frames go first under overload.
        paused: it is known, and gives no frames.
    """

    id: str
    uri: str
    make: Callable[[], Source] = field(repr=False)  # holds the URI with its password
    live: bool = False
    on_full: OnFull = OnFull.BLOCK
    max_fps: float | None = None
    every: int = 1
    realtime: bool = False
    decoder: str = ""
    signature: object = field(default=None, repr=False)
    priority: Priority = Priority.NORMAL
    paused: bool = False

    @property
    def drops(self) -> bool:
        """Whether frames are dropped at the entrance, so that what comes out is fresh."""
        return self.on_full is not OnFull.BLOCK

    def same(self, other: Camera) -> bool:
        """Whether the running other one can go on as this one."""
        return self.signature is not None and self.signature == other.signature


@dataclass(frozen=True, slots=True)
class Node:
    """One stage of the graph.

    Attributes:
        name: unique.
        stage: the stage's class: says what it consumes, produces, and whether it keeps state.
        make: makes one copy; called once a worker.
        after: names of the predecessors; `SOURCES` are the cameras.
        workers: copies that run side by side.
        queue: packets each lane of the inbox holds.
        on_full: policy of the inbox; the inbox behind the cameras asks each camera instead.
        batch: how many packets a worker takes at once.
        binding: what it runs on.
        about: what people should know beside that, such as where an output goes.
        returns_to: an earlier stage that waits, at a camera's next frame, for what this one gives
            back of its last one; empty where there is none.
        signature: what it is made from: of two nodes of one name whose signatures are equal, the
            copies of one can go on as those of the other, wherever they are in the graph; None
            equals nothing.
    """

    name: str
    stage: type[Stage[Any, Any]]
    make: Callable[[Run], Stage[Any, Any]]
    after: tuple[str, ...]
    workers: int = 1
    queue: int = 4
    on_full: OnFull = OnFull.BLOCK
    batch: Batch = field(default_factory=Batch)
    binding: Binding = field(default_factory=Binding)
    about: str = ""
    returns_to: str = ""
    signature: object = field(default=None, repr=False)

    def same(self, other: Node) -> bool:
        """Whether the running copies of the other one can go on as this one's."""
        if self.signature is None or self.stage is not other.stage:
            return False
        return self.signature == other.signature

    @property
    def is_sink(self) -> bool:
        return self.stage.produces is None

    @property
    def at_entrance(self) -> bool:
        return self.after == (SOURCES,)

    @property
    def remembers(self) -> bool:
        """Whether what it makes of a frame depends on its camera's frames before.

        A join keeps a camera's packets together only until those of a frame have met.
        """
        return self.stage.per_camera and not self.stage.joins


@dataclass(frozen=True)
class Graph:
    """Cameras and stages, checked: every name known, no cycle, every payload fits.

    Attributes:
        cameras: in the order of the configuration.
        nodes: in an order in which every stage comes after its predecessors.
        drain_s: how long a stopped run may take to finish what is under way.
        max_age_s: what comes out of a camera that drops frames is not older.

    Raises:
        GraphError: on construction; the message names the stage and the remedy.
    """

    cameras: tuple[Camera, ...]
    nodes: tuple[Node, ...]
    drain_s: float = 5.0
    max_age_s: float = 0.5

    def __post_init__(self) -> None:
        _check_names(self.cameras, self.nodes)
        object.__setattr__(self, "nodes", _in_order(self.nodes))
        for node in self.nodes:
            self._check_payload(node)
            self._check_way_back(node)

    def without_paused(self) -> Graph:
        """The graph without cameras that give no frames, for who waits for every camera's.

        Raises:
            GraphError: all are paused.
        """
        return replace(self, cameras=tuple(camera for camera in self.cameras if not camera.paused))

    def node(self, name: str) -> Node:
        """The stage of that name. Raises `GraphError` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = [node.name for node in self.nodes]
        raise GraphError(f"no stage is called {name!r}; there are {', '.join(names)}")

    def successors(self, name: str) -> list[Node]:
        """The stages that take what `name` hands on."""
        return [node for node in self.nodes if name in node.after]

    def with_node(self, node: Node) -> Graph:
        """This graph and one stage more."""
        return replace(self, nodes=(*self.nodes, node))

    def without_sinks(self) -> Graph:
        """The graph without its outputs: they write files that a second run would overwrite."""
        return replace(self, nodes=tuple(node for node in self.nodes if not node.is_sink))

    def leading_to(self, name: str) -> Graph:
        """The stages that `name`, a stage or `SOURCES`, needs, itself included; no outputs.

        That is what comes before it, and what gives back to one of these.

        Raises:
            GraphError: there is no such stage, or it is an output.
        """
        if name != SOURCES and self.node(name).is_sink:
            raise GraphError(f"{name!r} is an output; it hands nothing on")
        needed, known = {name}, 0
        while len(needed) > known:  # a way back leads to stages behind, and these need others
            known = len(needed)
            for node in self.nodes:
                if node.name in needed or node.returns_to in needed:
                    needed.update((node.name, *node.after))
        return replace(self, nodes=tuple(node for node in self.nodes if node.name in needed))

    def ends(self) -> list[str]:
        """Names of the stages whose packets only sinks take: where another sink would go."""
        return [
            node.name
            for node in self.nodes
            if not node.is_sink and all(next_.is_sink for next_ in self.successors(node.name))
        ]

    def check_runnable(self) -> None:
        """Sees that every branch ends in an output.

        Raises:
            GraphError: a stage's packets, or the cameras' frames, would go nowhere.
        """
        if not self.successors(SOURCES):
            raise GraphError("no stage takes the cameras' frames: none is `after: decode`")
        for node in self.nodes:
            if not node.is_sink and not self.successors(node.name):
                raise GraphError(
                    f"nothing takes what stage {node.name!r} gives: add an output, or an `after:"
                    f" {node.name}` to the stage that should follow it"
                )

    def _check_payload(self, node: Node) -> None:
        if len(node.after) > 1 and not node.stage.joins:
            raise GraphError(
                f"stage {node.name!r} takes one predecessor, but `after` names {len(node.after)}"
                f" ({', '.join(node.after)}); put a merge stage between"
            )
        for name in node.after:
            given = Decoded if name == SOURCES else self.node(name).stage.produces
            if given is None:
                raise GraphError(f"stage {node.name!r} cannot follow {name!r}, which is an output")
            if not issubclass(given, node.stage.consumes):
                raise GraphError(
                    f"stage {node.name!r} takes {node.stage.consumes.__name__}, but {name!r} gives"
                    f" {given.__name__}; {_who_gives(self.nodes, node.stage.consumes)}"
                )

    def _check_way_back(self, node: Node) -> None:
        """What a stage waits for must come: from one stage behind, past queues that lose nothing.

        Raises:
            GraphError: a packet might not get there, and the camera's next frame would wait for it.
        """
        givers = [giver.name for giver in self.nodes if giver.returns_to == node.name]
        if not givers and not node.stage.recurrent:
            return
        behind = {node.name}
        for other in self.nodes:
            if not behind.isdisjoint(other.after):
                behind.add(other.name)
        if len(givers) != 1 or givers[0] not in behind:
            found = " and ".join(repr(name) for name in givers) or "there is none"
            raise GraphError(
                f"stage {node.name!r} needs one stage behind it that gives back to it: {found}"
            )
        on_the_way = set(givers)
        for other in reversed(self.nodes):
            if other.name not in on_the_way & behind - {node.name}:
                continue
            on_the_way.update(other.after)
            if other.on_full is not OnFull.BLOCK:
                raise GraphError(
                    f"stage {other.name!r} may not drop packets, for {node.name!r} waits for what "
                    "becomes of them; leave its on_full out, and drop before that"
                )

    def text(self) -> str:
        """The graph as indented lines, for a terminal."""
        lines = [
            f"{camera.id}: {camera.uri}  [entrance: {camera.on_full}"
            + (f", ≤{camera.max_fps:g} fps" if camera.max_fps else "")
            + (f", 1 of {camera.every}" if camera.every > 1 else "")
            + (", real time" if camera.realtime else "")
            + (f"; decoder: {camera.decoder}]" if camera.decoder else "]")
            for camera in self.cameras
        ]
        lines.append(SOURCES)
        before = {node.name: " + ".join(node.after) for node in self.nodes}
        name_width = max(map(len, before), default=0)
        before_width = max(map(len, before.values()), default=0)
        for name, ahead in before.items():
            facts = _facts(self.node(name))
            line = f"  └▶ {name:<{name_width}}  ⟵ {ahead:<{before_width}}  {facts}"
            lines.append(line.rstrip())
        return "\n".join(lines)

    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart."""
        lines = ["flowchart LR"]
        for index, camera in enumerate(self.cameras):
            label = "<br/>".join(part for part in (camera.id, camera.decoder) if part)
            lines.append(f'  camera{index}(["{label}"]) --> {SOURCES}')
        for node in self.nodes:
            shape = f'[/"{_label(node)}"/]' if node.is_sink else f'["{_label(node)}"]'
            lines.append(f"  {_identifier(node.name)}{shape}")
            lines.extend(f"  {_identifier(n)} --> {_identifier(node.name)}" for n in node.after)
        return "\n".join(lines)


def _check_names(cameras: Sequence[Camera], nodes: Sequence[Node]) -> None:
    if not cameras:
        raise GraphError("there is no camera: add one under `cameras:`")
    for what, names in (
        ("cameras", [camera.id for camera in cameras]),
        ("stages", [node.name for node in nodes]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise GraphError(f"two {what} are called {twice[0]!r}; names must be unique")
    known = {SOURCES, *(node.name for node in nodes)}
    for node in nodes:
        for name in node.after:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise GraphError(f"stage {node.name!r} is after {name!r}, which is no stage{hint}")


def _in_order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Sorts so that predecessors come first, else as written."""
    left = list(nodes)
    placed = {SOURCES}
    ordered: list[Node] = []
    while left:
        free = [node for node in left if placed.issuperset(node.after)]
        if not free:
            raise GraphError(
                f"these stages wait for each other in a cycle: {', '.join(n.name for n in left)};"
                " change an `after`"
            )
        ordered.extend(free)
        placed.update(node.name for node in free)
        left = [node for node in left if node.name not in placed]
    return tuple(ordered)


def _who_gives(nodes: Sequence[Node], payload: type) -> str:
    names = [n.name for n in nodes if n.stage.produces and issubclass(n.stage.produces, payload)]
    if payload is Decoded:
        names = [SOURCES]
    if names:
        return f"set its `after` to {' or '.join(repr(name) for name in names)}"
    return f"no stage of this graph gives {payload.__name__}"


def _facts(node: Node) -> str:
    binding = str(node.binding) or ("" if node.is_sink else "host")
    facts = [part for part in (binding, node.about) if part]
    if node.workers > 1:
        facts.append(f"×{node.workers} workers" + (", by camera" * node.stage.per_camera))
    if node.batch.most > 1:
        facts.append(f"batch ≤{node.batch.most} in {node.batch.wait_s * 1e3:g} ms")
    if node.returns_to:
        facts.append(f"gives back to {node.returns_to}")
    return f"[{'; '.join(facts)}]" if facts else ""


def _label(node: Node) -> str:
    facts = _facts(node).strip("[]")
    return f"{node.name}<br/>{facts}" if facts else node.name


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def lanes(node: Node, cameras: Iterable[Camera]) -> Mapping[str, OnFull]:
    """The lanes of a stage's inbox: per camera at the entrance, per predecessor at a join."""
    if node.at_entrance:
        return {camera.id: camera.on_full for camera in cameras}
    if node.stage.joins:
        return dict.fromkeys(node.after, node.on_full)
    return {"": node.on_full}

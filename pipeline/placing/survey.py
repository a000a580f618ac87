"""Every stage of a graph measured: those to be placed on each engine, the others as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from pipeline.errors import StageError
from pipeline.graph import SOURCES, Graph, Node
from pipeline.packet import Status
from pipeline.placing.candidates import HOST, Candidates
from pipeline.placing.footage import Footage, played
from pipeline.placing.measuring import Measured, measure, processors
from pipeline.placing.model import Option, Step, Use
from pipeline.placing.solo import frames_of
from pipeline.serial import Step as Given
from pipeline.serial import run_serially

#: Told what is done now.
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One stage on one engine.

    Attributes:
        stage: its name; `SOURCES` for reading and decoding.
        engine: its id; empty: plain code on the host.
        found: None where it does not run there.
        written: whether the configuration has it there.
        allowed: whether it may be proposed.
        precision_change: such as ``int8 instead of fp32``; empty where it is as written.
        remark: why it does not run or may not be proposed.
    """

    stage: str
    engine: str
    found: Measured | None = None
    written: bool = False
    allowed: bool = True
    precision_change: str = ""
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Survey:
    """What was measured.

    Attributes:
        rows: in the order of the graph, of each stage in the order of the engines.
        steps: the same for the search.
        threads: of the graph.
        processors: that as many threads got meanwhile, median.
    """

    rows: tuple[Row, ...]
    steps: tuple[Step, ...]
    threads: int
    processors: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be proposed.

    Attributes:
        engines: of each stage to be placed.
        devices: by the engine; see `Use`.
        precision_change: whether another precision than now is allowed.
        workers: copies of a stage, at most.
    """

    engines: Mapping[str, Candidates]
    devices: Mapping[str, str]
    precision_change: bool
    workers: int


def survey(
    graph: Graph, footage: Sequence[Footage], rules: Rules, tell: Tell = lambda text: None
) -> Survey:
    """Measures every stage but the outputs, one after another.

    Raises:
        StageError: the graph does not run as it is written, or a stage on no engine that may be
            proposed.
    """
    inner = graph.without_sinks()
    tell(f"recording what each stage is given, {sum(len(f.frames) for f in footage)} frames")
    given = _given(inner, footage)
    rows, steps, free = [_decoding(footage)], [_entrance(footage)], list[float]()
    loops = _loops(inner)
    threads = len(footage) + sum(node.workers for node in inner.nodes)
    for node in inner.nodes:
        engines = rules.engines.get(node.name)
        own = Candidates("", {"": node}) if engines is None else engines
        tell(f"measuring {node.name} on {', '.join(name or HOST for name in own.nodes)}")
        counts = _counts(node, 1 if engines is None else rules.workers, len(footage))
        found = measure(own.nodes, counts, frames_of(inner, node.name, given))
        told = list(_rows(node.name, own, found, rules))
        rows += told
        step = _step(node, told, counts, rules)
        steps.append(replace(step, loop=loops.get(node.name, ""), loops=len(footage)))
        free.append(processors(threads))
    return Survey(tuple(rows), tuple(steps), threads, median(free))


def none_allowed(stage: str, rows: Iterable[Row]) -> StageError:
    """The error of a stage that no engine may run."""
    reasons = "; ".join(f"{row.engine or HOST}: {row.remark}" for row in rows)
    return StageError(f"no engine that is allowed can run stage {stage!r}: {reasons}")


def refusals(stage: str, own: Candidates) -> list[Row]:
    """A row for each engine that cannot run a stage, told from its kind alone."""
    return [Row(stage, engine, allowed=False, remark=why) for engine, why in own.refused.items()]


def _given(graph: Graph, footage: Sequence[Footage]) -> list[Given]:
    """What every stage gives for each frame, as the graph is written."""
    with run_serially(played(graph, footage, decoded=False)) as frames:
        given = list(frames)
    for step in given:
        for name, packets in step.items():
            for packet in packets:
                if packet.status is Status.BLIND:
                    raise StageError(f"as it is written, stage {name!r} fails: {packet.reason}")
    return given


def _loops(graph: Graph) -> dict[str, str]:
    """By the stages between one that waits and what gives back to it, these two too: the former."""
    loops: dict[str, str] = {}
    for giver in (node for node in graph.nodes if node.returns_to):
        behind = {giver.returns_to}
        for node in graph.leading_to(giver.name).nodes:
            if not behind.isdisjoint(node.after):
                behind.add(node.name)
        loops |= dict.fromkeys(behind, giver.returns_to)
    return loops


def _decoding(footage: Sequence[Footage]) -> Row:
    entrance = _entrance(footage).uses[""]
    return Row(SOURCES, "", Measured(entrance.ms, entrance.cpu_ms, entrance.cpu_ms, "", 0.0), True)


def _entrance(footage: Sequence[Footage]) -> Step:
    """The cameras as a step: each has a thread of its own."""
    frames = sum(len(shot.frames) for shot in footage)
    ms = sum(shot.decode_ms * len(shot.frames) for shot in footage) / frames
    cpu_ms = sum(shot.cpu_ms * len(shot.frames) for shot in footage) / frames
    use = Use({1: ms, len(footage): ms / len(footage)}, cpu_ms)
    return Step(SOURCES, (), {"": use}, (Option("", len(footage)),), timed=False)


def _counts(node: Node, most: int, cameras: int) -> list[int]:
    """Numbers of copies to measure: 1, 2, 4 … the most, and as many as are written."""
    limit = min(most, cameras) if node.stage.per_camera else most
    doubled = [2**power for power in range(limit.bit_length())]
    return sorted({*doubled, limit, node.workers})


def _rows(
    stage: str, own: Candidates, found: Mapping[str, Measured | str], rules: Rules
) -> Iterator[Row]:
    now = found[own.written]
    if isinstance(now, str):
        place = f" on {own.written}" if own.written else ""
        raise StageError(f"as it is written, stage {stage!r}{place} does not run: {now}")
    for engine, one in found.items():
        if isinstance(one, str):
            yield Row(stage, engine, allowed=False, remark=one)
            continue
        change, remark = "", ""
        if one.precision != now.precision:
            change = f"{one.precision} instead of {now.precision}"
            remark = "" if rules.precision_change else "needs --allow-precision-change"
        if engine in own.barred:
            remark = "not among --allow"
        yield Row(stage, engine, one, engine == own.written, not remark, change, remark)
    yield from refusals(stage, own)


def _step(node: Node, rows: Sequence[Row], counts: Sequence[int], rules: Rules) -> Step:
    uses, options = dict[str, Use](), list[Option]()
    for row in rows:
        if row.found is None:
            continue
        device = rules.devices.get(row.engine, "")
        uses[row.engine] = Use(row.found.ms, row.found.cpu_ms, device)
        if row.allowed and node.name in rules.engines:
            options += [Option(row.engine, count) for count in counts]
    if node.name not in rules.engines:
        options = [Option("", node.workers)]
    if not options:
        raise none_allowed(node.name, rows)
    return Step(node.name, node.after, uses, tuple(options), node.batch.wait_s * 1e3)

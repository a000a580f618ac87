"""From a configuration to the placement that really was the best, beside the one written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from statistics import median

from engines.errors import EngineError
from engines.paired import summed
from pipeline.config import PipelineConfig
from pipeline.errors import StageError
from pipeline.placing.candidates import (
    Candidates,
    allowed_engines,
    candidates,
    device_of,
    graph_of,
    new_engine,
    placed_stages,
    rebound,
    written_placement,
)
from pipeline.placing.footage import Footage, shoot
from pipeline.placing.measuring import processors
from pipeline.placing.model import Goal, Placement, predict
from pipeline.placing.proposal import Contender, Proposal
from pipeline.placing.proving import Proof, prove
from pipeline.placing.search import Search
from pipeline.placing.survey import Rules, Survey, Tell, none_allowed, refusals, survey

#: Placements that are run beside the hand-written one.
BEST = 3
#: Fewer rounds give no interval of 99 %: all of n err to the same side once in 2 ** (n - 1).
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for.

    Attributes:
        goal: what counts first.
        stages: to be placed; empty: those with a network.
        allow: ``stage=engine,engine`` for stages that may not run everywhere.
        precision_change: whether a stage may compute in another precision than it does now.
        frames: to measure with, of all cameras together.
        rounds: of the proof, at least `ROUNDS`.
        seconds: of each run of it, about.
        workers: copies of a stage side by side, at most; None: one a core.
    """

    goal: Goal = "throughput"
    stages: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    precision_change: bool = False
    frames: int = 60
    rounds: int = ROUNDS
    seconds: float = 1.5
    workers: int | None = None


def propose(config: PipelineConfig, wishes: Wishes, tell: Tell = lambda text: None) -> Proposal:
    """Measures each stage on each engine, and runs the best placements beside the written one.

    Args:
        config: complete; its outputs are not written.
        wishes: what is asked for.
        tell: what is done now, for people.

    Raises:
        ConfigError: a stage or an engine that is asked for is not there.
        SourceError: a camera cannot be read.
        StageError: the written configuration does not run, or a stage on no engine that is allowed.
    """
    graph = graph_of(config).without_paused()
    stages = placed_stages(config, wishes.stages)
    allowed = allowed_engines(config, stages, wishes.allow)
    written = written_placement(graph, stages)
    engines = {
        name: candidates(config, name, allowed[name], written[name].engine) for name in stages
    }
    refused = {name: refusals(name, own) for name, own in engines.items()}
    for name, own in engines.items():
        if own.barred.issuperset(own.nodes):
            raise none_allowed(name, refused[name])
    if all(set(own.nodes) == {own.written} for own in engines.values()):
        return Proposal(wishes.goal, tuple(row for rows in refused.values() for row in rows))
    used = sorted({name for own in engines.values() for name in own.nodes if name})
    devices = {name: device_of(new_engine(config, name)) for name in used}
    workers = wishes.workers or len(os.sched_getaffinity(0))
    rules = Rules(engines, devices, wishes.precision_change, workers)
    each = -(-wishes.frames // len(graph.cameras))
    with _kept_running(config, used):
        footage = [shoot(camera, each) for camera in graph.cameras]
        found = survey(graph, footage, rules, tell)
        now = {step.name: step.options[0] for step in found.steps} | written
        best = Search(found.steps, now, found.processors, wishes.goal).best(BEST)
        placements = [now, *(placement for placement in best if placement != now)]
        bound = [_bound(config, placement, engines, found) for placement in placements]
        contenders, free = _run(bound, found, footage, wishes, tell)
    return Proposal(wishes.goal, found.rows, tuple(contenders), free)


def _bound(
    config: PipelineConfig, whole: Placement, engines: Mapping[str, Candidates], found: Survey
) -> Contender:
    """A placement, not run yet."""
    placement = {name: whole[name] for name in engines}
    changed, changes = rebound(config, placement, engines)
    precisions = {
        row.stage: row.precision_change
        for row in found.rows
        if row.precision_change and row.engine == whole[row.stage].engine
    }
    expected = predict(found.steps, whole, found.processors)
    return Contender(placement, expected, changed, tuple(changes), precisions)


def _run(
    bound: Sequence[Contender],
    found: Survey,
    footage: Sequence[Footage],
    wishes: Wishes,
    tell: Tell,
) -> tuple[list[Contender], float]:
    """The placements with what they gave, and how many processors there were meanwhile."""
    free: list[float] = []

    def begin(number: int) -> None:
        tell(f"running what was found, round {number} of {wishes.rounds}")
        free.append(processors(found.threads))

    proofs = prove(
        [graph_of(one.config) for one in bound],
        [one.expected.of(wishes.goal) for one in bound],
        footage,
        wishes.goal,
        wishes.rounds,
        wishes.seconds,
        begin,
    )
    if why := proofs[0].error:
        raise StageError(f"as it is written, the graph does not run: {why}")
    fixed = {step.name: step.options[0] for step in found.steps}
    there = median(free)
    told = [
        replace(
            _measured(one, proof, proofs[0]),
            expected=predict(found.steps, fixed | dict(one.placement), there),
        )
        for one, proof in zip(bound, proofs, strict=True)
    ]
    return told, there


def _measured(one: Contender, proof: Proof, written: Proof) -> Contender:
    """A placement with what it gave, beside what the written one gave."""
    if proof.error:
        return replace(one, error=proof.error)
    turns = [(a / 1e3, b / 1e3) for a, b in zip(written.ms, proof.ms, strict=True)]
    against = None if proof is written else summed(turns)
    return replace(one, ms=median(proof.ms), against=against)


@contextmanager
def _kept_running(config: PipelineConfig, names: Iterable[str]) -> Iterator[None]:
    """Keeps the devices of these engines, so that none starts anew for every measurement."""
    with ExitStack() as stack:
        for name in names:
            one = config.engines[name]
            if one.isolate or one.timeout_s is not None:
                continue  # its device is of its process
            engine = new_engine(config, name)
            stack.callback(engine.destroy)
            with suppress(EngineError):  # the stages on it will tell
                engine.init()
        yield

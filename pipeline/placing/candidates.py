"""What a configuration lets run where, and the configuration of a placement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import engines.registry
import pipeline.builder
from engines.base import Engine
from engines.errors import EngineError
from pipeline.config import PipelineConfig
from pipeline.config.base import AUTO
from pipeline.config.problem import suggest
from pipeline.config.stages import KernelConfig, NetworkConfig
from pipeline.errors import ConfigError
from pipeline.graph import Graph, Node
from pipeline.placing.model import Option, Placement

#: What is written for plain code on the host where an engine's id is expected.
HOST = "host"


@dataclass(frozen=True, slots=True)
class Candidates:
    """The engines of one stage.

    Attributes:
        written: the engine it has now.
        nodes: the stage on each engine that has what its program needs, by the engine's id; the
            empty one is plain code. As many copies as what is written makes there.
        barred: those of them that may not be proposed.
        refused: why each other engine cannot run it.
    """

    written: str
    nodes: Mapping[str, Node]
    barred: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


class Change(NamedTuple):
    """One key of one stage with another value; as a text, an argument of ``--set``.

    Attributes:
        stage: its name.
        key: such as ``engine``.
        value: as YAML, in one line.
    """

    stage: str
    key: str
    value: str

    def __str__(self) -> str:
        stage = f"[{self.stage}]" if "." in self.stage else f".{self.stage}"
        return f"stages{stage}.{self.key}={self.value}"


def graph_of(config: PipelineConfig) -> Graph:
    """The graph of a configuration, which keeps nothing for a later run of it.

    Raises:
        ConfigError, GraphError: as `pipeline.builder.build`.
    """
    stages = {
        name: stage.model_copy(update={"state": None}) if hasattr(stage, "state") else stage
        for name, stage in config.stages.items()
    }
    return pipeline.builder.build(config.model_copy(update={"stages": stages}))


def placed_stages(config: PipelineConfig, wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """The stages to be placed: those wanted, or all with a network.

    Raises:
        ConfigError: there is no such stage, or it has no engine.
    """
    networks = [n for n, stage in config.stages.items() if isinstance(stage, NetworkConfig)]
    able = [n for n, s in config.stages.items() if isinstance(s, NetworkConfig | KernelConfig)]
    for name in wanted:
        if name not in able:
            raise ConfigError(f"--stages {name}: no stage with an engine; {suggest(name, able)}")
    return tuple(name for name in able if name in (tuple(wanted) or networks))


def allowed_engines(
    config: PipelineConfig, stages: Iterable[str], narrowed: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """The engines each stage may be tried on, in the order of the configuration.

    Args:
        config: complete.
        stages: to be placed.
        narrowed: ``stage=engine,engine``, for some stages; `HOST` is plain code.

    Raises:
        ConfigError: a stage or an engine is not there.
    """
    allowed = {name: _every(config, name) for name in stages}
    for text in narrowed:
        stage, _, names = text.partition("=")
        if stage not in allowed:
            raise ConfigError(
                f"--allow {text}: {stage!r} is no stage to be placed; {suggest(stage, allowed)}"
            )
        wanted = ["" if name == HOST else name for name in names.split(",")]
        every = _every(config, stage)
        for name in (name for name in wanted if name not in every):
            known = [engine or HOST for engine in every]
            raise ConfigError(f"--allow {text}: no engine {name!r} here; {suggest(name, known)}")
        allowed[stage] = tuple(name for name in every if name in wanted)
    return allowed


def _every(config: PipelineConfig, stage: str) -> tuple[str, ...]:
    plain = ("",) if isinstance(config.stages[stage], KernelConfig) else ()
    return (*plain, *config.engines)


def candidates(
    config: PipelineConfig, stage: str, allowed: Sequence[str], written: str
) -> Candidates:
    """The stage on each engine that has what its program needs; nothing is loaded there.

    Args:
        config: complete.
        stage: its name.
        allowed: engines that may be proposed.
        written: the engine it has now, which is measured in any case.
    """
    nodes: dict[str, Node] = {}
    refused: dict[str, str] = {}
    barred = frozenset({written}) - frozenset(allowed)
    workers = config.stages[stage].workers
    for engine in (*barred, *allowed):
        alone = _with_stage(config, stage, (engine,) if engine else (), workers)
        try:
            if twin := _twin(config, engine, (written, *nodes)):
                refused[engine] = f"is the same as {twin}"
            else:
                nodes[engine] = graph_of(alone).node(stage)
        except (ConfigError, EngineError) as error:
            refused[engine] = str(error.__cause__ or error)
    return Candidates(written, nodes, barred, refused)


def _twin(config: PipelineConfig, engine: str, others: Iterable[str]) -> str:
    """An engine that is this one under another id; each that is a device is one of its own."""
    if not engine or device_of(new_engine(config, engine)):
        return ""
    same = (name for name in others if name and config.engines[name] == config.engines[engine])
    return next((name for name in same if name != engine), "")


def written_placement(graph: Graph, stages: Iterable[str]) -> dict[str, Option]:
    """Where the graph, as it was written, has these stages."""
    nodes = {name: graph.node(name) for name in stages}
    return {name: Option(node.binding.engine, node.workers) for name, node in nodes.items()}


def rebound(
    config: PipelineConfig, placement: Placement, engines: Mapping[str, Candidates]
) -> tuple[PipelineConfig, list[Change]]:
    """The configuration with another placement, and the changes that make it.

    Of a list of engines the chosen one comes first, and the others stand by behind it as before.
    What need not change stays as it was written, ``auto`` included.

    Args:
        config: complete.
        placement: of stages that have an engine.
        engines: of these.
    """
    changes: list[Change] = []
    for name, option in placement.items():
        own, stage = engines[name], config.stages[name]
        names: tuple[str, ...] = getattr(stage, "engine", ())
        workers = stage.workers
        if option.engine != own.written:
            names = _with_first(option.engine, names)
            value = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
            changes.append(Change(name, "engine", value))
        if option.workers != own.nodes[option.engine].workers:
            workers = option.workers
            changes.append(Change(name, "workers", str(workers)))
        config = _with_stage(config, name, names, workers)
    return config, changes


def _with_first(engine: str, written: tuple[str, ...]) -> tuple[str, ...]:
    if not engine:
        return ()
    others = [name for name in written if name not in (engine, AUTO)]
    return (engine, *others) if len(written) > 1 else (engine,)


def _with_stage(
    config: PipelineConfig, name: str, engine: tuple[str, ...], workers: int | str
) -> PipelineConfig:
    stage = config.stages[name].model_copy(update={"engine": engine, "workers": workers})
    return config.model_copy(update={"stages": {**config.stages, name: stage}})


def device_of(engine: Engine) -> str:
    """What an engine computes on beside the processors; engines of the same share it.

    A device that networks are compiled for is the engine's own; any other is known by its name.
    """
    if engine.options.target:
        return engine.id
    return "" if engine.device == "cpu" else engine.device


def new_engine(config: PipelineConfig, name: str) -> Engine:
    """An engine of the configuration, not initialised."""
    one = config.engines[name]
    return engines.registry.create(
        name,
        one.backend,
        one.device,
        one.precision or "",
        isolate=one.isolate,
        timeout_s=one.timeout_s,
        **one.options,
    )

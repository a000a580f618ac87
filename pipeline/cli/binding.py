"""One configuration on different engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pipeline
from engines import OptionError, registry
from pipeline.config import PipelineConfig
from pipeline.config.problem import suggest


def bound(
    path: Path,
    changes: Sequence[str],
    engine: str = "",
    further: Sequence[str] = (),
    stages: Sequence[str] = (),
) -> PipelineConfig:
    """The configuration with these stages, or all that have an engine, on this one.

    For comparing: no tracker's state is kept for a later run, nor taken from an earlier one.

    Args:
        path: of the configuration.
        changes: as `--set` takes them.
        engine: one of the configuration, or a backend; empty: as configured.
        further: changes that come last, and may be of that engine.
        stages: that are bound; empty: those that have an engine.

    Raises:
        ConfigError: the configuration is wrong.
        OptionError: there is no such engine or stage.
    """
    written = pipeline.load(path, changes)
    binding: list[str] = []
    if engine and engine not in written.engines:
        registry.engine_class(engine)  # so that a misspelt name is told as one
        binding = [f"engines.{engine}.backend={engine}"]
    if engine:
        for name in (name for name in stages if name not in written.stages):
            raise OptionError(f"no stage is called {name!r}; {suggest(name, written.stages)}")
        with_engine = [n for n, stage in written.stages.items() if getattr(stage, "engine", ())]
        binding += [f"stages.{name}.engine={engine}" for name in stages or with_engine]
    kept = [name for name, stage in written.stages.items() if getattr(stage, "state", None)]
    return pipeline.load(
        path, [*changes, *(f"stages.{name}.state=null" for name in kept), *binding, *further]
    )

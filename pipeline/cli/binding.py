"""One configuration on different engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pipeline
from engines import registry
from pipeline.config import PipelineConfig


def bound(
    path: Path, changes: Sequence[str], engine: str = "", further: Sequence[str] = ()
) -> PipelineConfig:
    """The configuration with every stage that has an engine on this one.

    Args:
        path: of the configuration.
        changes: as `--set` takes them.
        engine: one of the configuration, or a backend; empty: as configured.
        further: changes that come last, and may be of that engine.

    Raises:
        ConfigError: the configuration is wrong.
        OptionError: there is no such engine.
    """
    written = pipeline.load(path, changes)
    binding: list[str] = []
    if engine and engine not in written.engines:
        registry.engine_class(engine)  # so that a misspelt name is told as one
        binding = [f"engines.{engine}.backend={engine}"]
    if engine:
        stages = [name for name, stage in written.stages.items() if getattr(stage, "engine", ())]
        binding += [f"stages.{name}.engine={engine}" for name in stages]
    return pipeline.load(path, [*changes, *binding, *further])

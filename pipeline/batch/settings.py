"""A configuration as a batch takes it: what it says of cameras, outputs and haste means nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import AnyStage, PipelineConfig, loads, read
from pipeline.config.base import AUTO
from pipeline.config.document import Document
from pipeline.config.stages import NetworkConfig, TrackerConfig
from pipeline.graph import Graph
from pipeline.queues import OnFull

_UNUSED = ("cameras", "outputs", "http")
#: Stands for the clips, each of which becomes a camera of its own.
_CAMERA = {"id": "clip", "uri": "clip.mp4"}


class _OfRecordings:
    """Takes out what a batch does not use, with all that is wrong with it."""

    def apply(self, document: Document) -> None:
        if not isinstance(document.value, dict):
            return
        for key in _UNUSED:
            document.value.pop(key, None)
        document.value["cameras"] = [dict(_CAMERA)]
        if isinstance(run := document.value.get("run"), dict):
            run.pop("shards", None)
        document.problems = [p for p in document.problems if p.path[:1] not in _SECTIONS]


_SECTIONS = [(key,) for key in _UNUSED]


def load(path: Path | str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Reads a configuration file for a batch: its `cameras`, `outputs` and `http` are left out.

    Args:
        path: a YAML file, UTF-8.
        overrides: ``"stages.detect.workers=2"`` and the like, applied in order.

    Returns:
        Complete, with one camera that stands for all. No stage drops a frame, and no tracker goes
        on where an earlier run ended, as results must not depend on either.

    Raises:
        ConfigError: with every problem, each naming file, line, column, key and remedy.
    """
    return _each(loads(read(path), str(path), overrides, overlay=_OfRecordings()), _calm)


def settled(config: PipelineConfig, graph: Graph) -> PipelineConfig:
    """The configuration with the engine named that `auto` chose, so that all processes have it.

    Args:
        config: as `load` gives it.
        graph: made of it.
    """
    chosen = {node.name: node.binding.engine for node in graph.nodes}

    def named(name: str, stage: AnyStage) -> AnyStage:
        if isinstance(stage, NetworkConfig) and stage.engine == (AUTO,):
            return stage.model_copy(update={"engine": (chosen[name],)})
        return stage

    return _each(config, named)


def _calm(name: str, stage: AnyStage) -> AnyStage:
    """The stage without what a recording's results must not depend on."""
    changes: dict[str, Any] = {"on_full": OnFull.BLOCK}
    if isinstance(stage, TrackerConfig):
        changes["state"] = None
    return stage.model_copy(update=changes)


def _each(config: PipelineConfig, change: Callable[[str, AnyStage], AnyStage]) -> PipelineConfig:
    stages = {name: change(name, stage) for name, stage in config.stages.items()}
    return config.model_copy(update={"stages": stages})

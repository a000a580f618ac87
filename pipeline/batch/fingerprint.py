"""What the results of a batch depend on beside its videos: configuration, models, libraries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel

from engines import registry
from engines.base import Engine
from engines.program import Network
from pipeline.config import EngineConfig, PipelineConfig
from pipeline.config.stages import NetworkConfig
from pipeline.graph import Graph
from pipeline.models.converted import identity
from pipeline.models.package import ModelPackage, load_model

#: Distributions whose code computes, beside the engines'.
_COMPUTING = ("av", "filterpy", "numpy", "opencv-python-headless", "scipy", "sightline")
#: How fast it goes, where it is kept, when an engine is given up: not what comes out.
_HASTE = {
    "stages": {"workers", "queue", "on_full", "batch", "state", "state_every_s", "resume_within_s"},
    "engines": {"threads", "isolate", "timeout_s", "retry_s"},
    "batch": {"segment_s", "parquet"},
}


def fingerprint(config: PipelineConfig, graph: Graph) -> dict[str, Any]:
    """What results depend on, as plain values; where it and the videos are equal, they are too.

    Args:
        config: as `pipeline.batch.settings.load` gives it.
        graph: made of it.

    Raises:
        ModelError, EngineError, OSError: a model cannot be read.
    """
    used = {name for stage in config.stages.values() for name in getattr(stage, "engine", ())}
    engines = {name: config.engines[name] for name in sorted(used)}
    settings: dict[str, Mapping[str, BaseModel]] = {"stages": config.stages, "engines": engines}
    plain = {
        part: {
            name: entry.model_dump(mode="json", exclude=_HASTE[part])
            for name, entry in entries.items()
        }
        for part, entries in settings.items()
    }
    plain["batch"] = config.batch.model_dump(mode="json", exclude=_HASTE["batch"])
    return {
        "configuration": config.hide_all(plain),
        "bindings": {node.name: str(node.binding) for node in graph.nodes if str(node.binding)},
        "models": _models(config),
        "versions": _versions(engines),
    }


def sha256_of(value: Mapping[str, Any]) -> str:
    """The hash of plain values, however they are ordered; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed, each as a line such as ``configuration.stages.detect.model: a, now b``."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    return [
        f"{path}: {_shown(old, path)}, now {_shown(new, path)}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _models(config: PipelineConfig) -> dict[str, dict[str, str]]:
    """By model: the hash of what it says about itself, and of each network an engine may get."""
    found: dict[str, dict[str, str]] = {}
    for stage in config.stages.values():
        if isinstance(stage, NetworkConfig):
            package = load_model(stage.model, weights=stage.weights)
            manifest = package.manifest.model_dump(mode="json")
            networks = found.setdefault(package.name, {"model.yaml": sha256_of(manifest)})
            for name in stage.engine:
                networks |= _network(package, _engine(name, config.engines[name]))
    return found


def _network(package: ModelPackage, engine: Engine) -> dict[str, str]:
    """What an engine is given of a model: its file's name and hash; nothing of what is built in."""
    program = package.program_for(engine)
    if not isinstance(program, Network):
        return {}
    known = program.sha256 if program.content is not None else identity(program)
    return {program.path.name: known or ""}


def _engine(name: str, config: EngineConfig) -> Engine:
    precision = config.precision or ""
    return registry.create(name, config.backend, config.device, precision, **config.options)


def _versions(engines: Mapping[str, EngineConfig]) -> dict[str, str]:
    found = {name: _version(name) for name in _COMPUTING}
    for backend in {engine.backend for engine in engines.values()}:
        found[backend] = registry.engine_class(backend).describe().version
    return found


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "from its source folder"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _shown(leaves: Mapping[str, Any], path: str) -> str:
    """A value for people: of a hash the beginning."""
    if path not in leaves:
        return "none"
    value = leaves[path]
    return value[:12] if path.startswith("models.") else json.dumps(value)

"""``engine: auto``: the fastest engine for a model on this machine, measured and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import engines
from engines import EngineError, Network
from engines.measure import Subject, measure
from pipeline.benching.bench import sample_inputs
from pipeline.config import EngineConfig
from pipeline.errors import ModelError
from pipeline.models.catalogue import cache_folder
from pipeline.models.package import ModelPackage

#: An engine named earlier is kept unless a later one is faster by this factor: so much is noise.
CLEARLY = 1.05
SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Which engine, and why.

    Attributes:
        engine: its id.
        why: what each engine achieved, and when that was measured.
        path: where the choice is remembered; remove the file to measure again.
    """

    engine: str
    why: str
    path: Path


def choose(package: ModelPackage, configs: Mapping[str, EngineConfig]) -> Choice:
    """The engine with the highest throughput when all cores are busy.

    Measured is each engine with as many workers as there are cores, in a process of its own; the
    choice holds for this model, these engines, these versions and this machine.

    Raises:
        ModelError: no engine runs the model; with the reason of each.
    """
    path = cache_folder() / "choices" / f"{_key(package, configs)}.json"
    found = _remembered(path) or _measured(package, configs, path)
    fps: dict[str, float] = found["fps"]
    best = max(fps, key=lambda name: fps[name])
    chosen = next(name for name in fps if fps[name] * CLEARLY >= fps[best])
    figures = [f"{name} {fps[name]:.0f}" for name in sorted(fps, key=lambda n: -fps[n])]
    figures += [f"{name} does not run" for name in found["errors"]]
    why = f"auto: {chosen}; frames a second: {', '.join(figures)}; measured {found['when']}, {path}"
    return Choice(chosen, why, path)


def _measured(
    package: ModelPackage, configs: Mapping[str, EngineConfig], path: Path
) -> dict[str, Any]:
    workers = len(os.sched_getaffinity(0))
    fps: dict[str, float] = {}
    errors: dict[str, str] = {}
    for name, config in configs.items():
        precision = config.precision or ""
        try:
            program = package.program_for(
                engines.create(name, config.backend, config.device, precision, **config.options)
            )
            subject = Subject(config.backend, program, config.device, precision, config.options)
            found = measure(subject, sample_inputs(package), (workers,), SECONDS)
            fps[name] = found.best_fps
        except (EngineError, ModelError) as error:
            errors[name] = str(error)
    if not fps:
        reasons = "; ".join(f"{name}: {error}" for name, error in errors.items())
        raise ModelError(f"no engine runs {package.name}: {reasons}")
    when = datetime.now(UTC).isoformat(" ", "seconds")
    result = {"model": package.name, "fps": fps, "errors": errors, "when": when}
    _remember(path, result)
    return result


def _key(package: ModelPackage, configs: Mapping[str, EngineConfig]) -> str:
    """Of everything the choice depends on."""
    versions = {
        config.backend: engines.engine_class(config.backend).describe().version
        for config in configs.values()
    }
    facts = {
        "model": [v.sha256 if isinstance(v, Network) else str(v) for v in package.variants],
        "engines": {name: config.model_dump(mode="json") for name, config in configs.items()},
        "versions": versions,
        "machine": [platform.node(), platform.machine(), len(os.sched_getaffinity(0))],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _remembered(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("fps") else None


def _remember(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(result, indent=2), encoding="utf-8")
    part.replace(path)

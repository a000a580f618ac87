"""One model on many engines: what each needs for it, and how near that is to its peak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from engines import EngineError, Network
from engines.cost import Cost, cost_of
from engines.measure import Measurement, Subject, measure
from engines.peak import peak_flops
from pipeline.errors import ModelError
from pipeline.models import load_model
from pipeline.models.package import ModelPackage


@dataclass(frozen=True, slots=True)
class Row:
    """One engine's line.

    Attributes:
        engine: ``backend`` or ``backend@device``.
        found: what was measured; None where it does not run.
        error: why it does not run.
        cost: of one forward, where it could be counted.
        peak_gflops: of the device in fp32, by the best of the backends measured on it; None where
            none could be.
    """

    engine: str
    found: Measurement | None = None
    error: str = ""
    cost: Cost | None = None
    peak_gflops: float | None = None

    @property
    def device(self) -> str:
        """Such as ``cpu``."""
        return self.engine.partition("@")[2] or "cpu"

    @property
    def gflops(self) -> float | None:
        """Attained with the best number of workers, GFLOP/s."""
        if self.found is None or self.cost is None:
            return None
        return self.found.best_fps * self.cost.flops / 1e9

    @property
    def attained(self) -> float | None:
        """Share of the peak, 0..1."""
        return self.gflops / self.peak_gflops if self.gflops and self.peak_gflops else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"gflops": self.gflops, "attained": self.attained}


def bench(
    model: str,
    names: str = "all",
    weights: str | None = None,
    precision: str = "",
    workers: Sequence[int] = (1,),
    seconds: float = 2.0,
) -> list[Row]:
    """Measures a model on engines, one after another.

    Args:
        model: name or folder.
        names: backends or ``backend@device``, with commas between; ``all`` are all installed ones.
        weights: another file for the weights.
        precision: as in a configuration; empty: as stored.
        workers: engines side by side, one measurement for each number.
        seconds: of each measurement.

    Raises:
        ModelError: there is no such model.
        OptionError: there is no such backend.
    """
    package = load_model(model, weights=weights)
    inputs, cost = sample_inputs(package), _cost(package)
    rows, peaks = [], dict[str, list[float]]()
    for backend, device in _engines(names):
        name = backend if device == "cpu" else f"{backend}@{device}"
        try:
            program = package.program_for(engines.create("bench", backend, device, precision))
            subject = Subject(backend, program, device, precision)
            found = measure(subject, inputs, workers, seconds)
            rows.append(Row(name, found, "", cost))
        except (EngineError, ModelError) as error:
            rows.append(Row(name, error=str(error), cost=cost))
            continue
        with suppress(EngineError):
            peak = peak_flops(backend, device, (1, max(workers))) / 1e9
            peaks.setdefault(device, []).append(peak)
    return [replace(row, peak_gflops=max(peaks.get(row.device, [0.0])) or None) for row in rows]


def sample_inputs(package: ModelPackage) -> dict[str, NDArray[Any]]:
    """One input for a model: noise in the range of a picture's values, the same every time."""
    found = {}
    for spec in (entry.spec() for entry in package.manifest.inputs):
        shape = [abs(n) for n in spec.shape]
        noise = np.random.default_rng(0).integers(0, 256, shape)
        found[spec.name] = noise.astype(spec.dtype)
    return found


def _engines(names: str) -> Iterator[tuple[str, str]]:
    """Pairs of backend and device."""
    if names == "all":
        for info in engines.describe():
            yield from ((info.name, device) for device in info.devices if info.formats)
        return
    for name in names.split(","):
        backend, _, device = name.strip().partition("@")
        engines.engine_class(backend)
        yield backend, device or "cpu"


def _cost(package: ModelPackage) -> Cost | None:
    for program in package.variants:
        if isinstance(program, Network) and program.format == "onnx":
            try:
                return cost_of(program.path, program.inputs)
            except EngineError:
                return None
    return None

"""A network against the one it was converted from: the same input through both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from engines import Engine, EngineUnavailable, Network, ProgramError, border
from pipeline.models.manifest import PreprocessSpec
from pipeline.models.samples import Tensors, samples

#: How far an output may be away, as a share of its largest magnitude in the source's outputs.
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2, "int8": 0.25}


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output is away over all runs.

    Attributes:
        name: of the output in the source.
        shape: of one run.
        largest: magnitude in the source's output.
        max_abs: largest absolute difference; infinite where one of them is not finite or the
            shapes differ.
        mean_abs: mean absolute difference.
        cosine: of the angle between the two outputs as vectors, 1 where they are equal.
        allowed: limit of `max_abs`.
    """

    name: str
    shape: tuple[int, ...]
    largest: float
    max_abs: float
    mean_abs: float
    cosine: float
    allowed: float

    @property
    def within(self) -> bool:
        """Whether the output is as near as it has to be."""
        return self.max_abs <= self.allowed


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two networks on the same input.

    Attributes:
        source: with its tensors declared.
        network: what `source` was converted to, with the same tensors.
        engines: that ran them.
        told: what both were given.
        tolerance: largest difference, as a share of an output's largest magnitude.
        differences: of each output.
    """

    source: Network
    network: Network
    engines: tuple[Engine, Engine]
    told: str
    tolerance: float
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every output is as near as it has to be."""
        return all(difference.within for difference in self.differences)


def compare(
    source: Network,
    network: Network,
    precision: str,
    preprocess: PreprocessSpec | None = None,
    pictures: str | None = None,
) -> Comparison:
    """Runs two networks, each on an engine of its own format, on the same input.

    Args:
        source: the network that is right.
        network: what it was converted to.
        precision: that explains how far they may be apart.
        preprocess: what the manifest says about pictures; None where there is none.
        pictures: a video, an image or a folder; None for a sample video.

    Raises:
        EngineError: one of them cannot be run.
        ModelError: pictures are given to a network that takes none.
        SourceError: the pictures cannot be read.
    """
    # A converter knows the tensors of formats whose engine does not tell them.
    source = replace(source, inputs=source.inputs or network.inputs,
                     outputs=source.outputs or network.outputs)  # fmt: skip
    source = declared(source)
    network = replace(network, inputs=source.inputs, outputs=source.outputs)
    given = samples(source.inputs, preprocess, pictures)
    pair = natural_engine(source), natural_engine(network, isolate=True)
    expected, found = (run(engine, one, given.inputs)
                       for engine, one in zip(pair, (source, network), strict=True))  # fmt: skip
    tolerance = TOLERANCES[precision]
    return Comparison(
        source, network, pair, given.told, tolerance, differences(expected, found, tolerance)
    )


def natural_engine(network: Network, *, isolate: bool = False) -> Engine:
    """A new engine of the first backend that is installed and loads networks of this format.

    It runs on the CPU where the backend can, else on the first device there is.

    Args:
        network: to be run.
        isolate: in a process of its own, so that a network that kills it is an error.

    Raises:
        EngineUnavailable: none is installed; with the command that installs one.
        ProgramError: there is none.
    """
    missing = []
    for name in engines.able(network):
        info = engines.engine_class(name).describe()
        if not info.missing:
            device = "cpu" if "cpu" in info.devices else next(iter(info.devices), "cpu")
            return engines.create(f"compare-{network.format}", name, device, isolate=isolate)
        missing.append(f"{name} ({info.missing}; run: {info.install})")
    if missing:
        raise EngineUnavailable(f"{network.format} needs {' or '.join(missing)} to be compared")
    raise ProgramError(f"{network}: no engine runs networks in {network.format}")


def run(engine: Engine, network: Network, given: Iterable[Tensors]) -> tuple[Tensors, ...]:
    """Every output of each run, by name, on a new engine. Raises `EngineError`."""
    runs = []
    with engine:
        engine.init()
        engine.prepare(network)
        for inputs in given:
            for spec in engine.inputs:
                border.give(engine, spec.name, inputs[spec.name])
            engine.forward()
            runs.append({spec.name: border.take(engine, spec.name) for spec in engine.outputs})
    return tuple(runs)


def declared(network: Network) -> Network:
    """The network with its tensors, read by its natural engine where they are not declared."""
    if network.inputs and network.outputs:
        return network
    with natural_engine(network) as engine:
        engine.init()
        engine.prepare(network)
        return replace(
            network,
            inputs=network.inputs or engine.inputs,
            outputs=network.outputs or engine.outputs,
        )


def differences(
    expected: Sequence[Tensors], found: Sequence[Tensors], tolerance: float
) -> tuple[Difference, ...]:
    """Compares each output over all runs.

    Args:
        expected: outputs of the source, run by run.
        found: those of the converted network.
        tolerance: largest difference, as a share of the largest magnitude in `expected`.
    """
    return tuple(
        _difference(
            name,
            [one[name] for one in expected],
            [one[name] for one in found],
            tolerance,
        )
        for name in expected[0]
    )


def _difference(
    name: str, expected: list[NDArray[Any]], found: list[NDArray[Any]], tolerance: float
) -> Difference:
    shape = expected[0].shape
    if [a.shape for a in expected] != [b.shape for b in found]:
        return Difference(name, shape, 0.0, np.inf, np.inf, 0.0, 0.0)
    a, b = (np.concatenate([one.ravel() for one in runs]).astype(np.float64)
            for runs in (expected, found))  # fmt: skip
    largest = float(np.abs(a).max(initial=0.0))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Difference(name, shape, largest, np.inf, np.inf, 0.0, 0.0)
    away = np.abs(a - b)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / lengths if lengths else float((a == b).all())
    return Difference(
        name,
        shape,
        largest,
        float(away.max(initial=0.0)),
        float(away.mean()) if away.size else 0.0,
        cosine,
        tolerance * largest,
    )

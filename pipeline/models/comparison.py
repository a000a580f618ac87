"""A network against the one it was converted from: the same input through both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from engines import Engine, EngineUnavailable, Network, ProgramError, TensorSpec
from pipeline.errors import ModelError
from pipeline.media.images import IMAGE_SUFFIXES, ImageSource
from pipeline.media.picture import Picture
from pipeline.media.preprocess import Preprocessor
from pipeline.media.source import Source
from pipeline.media.sources import open_source
from pipeline.models.manifest import PreprocessSpec
from pipeline.resources import shipped

#: How far an output may be away, as a share of its largest magnitude in the source's outputs.
TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2, "int8": 0.25}
#: So many pictures are compared, this many apart.
PICTURES, APART = 8, 10
#: Width and height of a picture where the network takes any.
ANY_SIZE = 320
_SEED = 0

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Samples:
    """What a network is given.

    Attributes:
        inputs: of each run, every input by name.
        told: where they are from, for the report.
    """

    inputs: tuple[Tensors, ...]
    told: str


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


def natural_engine(network: Network, *, isolate: bool = False) -> Engine:
    """A new engine of the first backend that is installed and loads networks of this format.

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
            return engines.create(f"compare-{network.format}", name, isolate=isolate)
        missing.append(f"{name} ({info.missing}; run: {info.install})")
    if missing:
        raise EngineUnavailable(f"{network.format} needs {' or '.join(missing)} to be compared")
    raise ProgramError(f"{network}: no engine runs networks in {network.format}")


def samples(
    specs: Sequence[TensorSpec], preprocess: PreprocessSpec | None, pictures: str | None
) -> Samples:
    """Input for a network: real pictures where it takes one, seeded noise elsewhere.

    Args:
        specs: the network's inputs.
        preprocess: what its manifest says; None for BGR 0..255, stretched to the input.
        pictures: a video, an image or a folder of images; None for a sample video.

    Raises:
        ModelError: pictures are given to a network that takes none.
        SourceError: they cannot be read.
    """
    first, layout = next(((s, _layout(s)) for s in specs if _layout(s)), (None, ""))
    chance = np.random.default_rng(_SEED)
    if first is None:
        if pictures is not None:
            raise ModelError(f"the network takes no picture, {pictures} cannot be given to it")
        noise = [{spec.name: _noise(spec, chance) for spec in specs} for _ in range(PICTURES)]
        return Samples(tuple(noise), f"noise (seed {_SEED}): no input is a picture")
    shape = _fixed(first)
    height, width = (shape[layout.index(axis)] for axis in "hw")
    how = preprocess or PreprocessSpec(resize="stretch")
    preprocessor = Preprocessor(how, width, height, first.dtype, layout)
    runs = []
    for picture in _pictures(pictures):
        tensor = np.repeat(preprocessor(picture)[0], shape[0], axis=0)
        runs.append({spec.name: _noise(spec, chance) for spec in specs} | {first.name: tensor})
    source = pictures or "the shipped sample video day.mp4"
    told = f"{len(runs)} pictures of {source}"
    if preprocess is None:
        told += "; BGR 0..255, stretched, as there is no manifest"
    if len(specs) > 1:
        told += f"; noise (seed {_SEED}) in the other inputs"
    return Samples(tuple(runs), told)


def run(engine: Engine, network: Network, given: Samples) -> tuple[Tensors, ...]:
    """Every output of each run, by name. Raises `EngineError`."""
    runs = []
    with engine:
        engine.init()
        engine.prepare(network)
        for inputs in given.inputs:
            for spec in engine.inputs:
                engine.set_tensor(spec.name, inputs[spec.name])
            engine.forward()
            runs.append({spec.name: engine.get_tensor(spec.name) for spec in engine.outputs})
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


def _layout(spec: TensorSpec) -> str:
    """``nchw`` or ``nhwc`` of an input that takes a picture; empty for any other."""
    if len(spec.shape) != 4 or spec.dtype not in (np.float32, np.float16, np.uint8):
        return ""
    layouts = [layout for layout in ("nchw", "nhwc") if spec.shape[layout.index("c")] == 3]
    return spec.layout if spec.layout in layouts else (layouts or [""])[0]


def _fixed(spec: TensorSpec) -> tuple[int, ...]:
    """Its shape with a length for each axis: one picture, of any size where it takes any."""
    return tuple(
        n if n != -1 else 1 if axis == 0 else ANY_SIZE for axis, n in enumerate(spec.shape)
    )


def _noise(spec: TensorSpec, chance: np.random.Generator) -> NDArray[Any]:
    shape = tuple(1 if n == -1 else n for n in spec.shape)
    if spec.dtype.kind == "f":
        return chance.standard_normal(shape).astype(spec.dtype)
    return chance.integers(0, 2, shape).astype(spec.dtype)


def _pictures(pictures: str | None) -> Iterator[Picture]:
    source = _source(pictures or str(shipped("sample_videos") / "day.mp4"))
    try:
        source.open()
        for frame in islice(source.frames(), 0, PICTURES * APART, APART):
            yield frame.picture
    finally:
        source.close()


def _source(pictures: str) -> Source:
    path = Path(pictures)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], 1.0, pictures)
    return open_source(pictures)

"""What a network is given to be compared: real pictures where it takes some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import TensorSpec
from pipeline.errors import ModelError
from pipeline.media.images import IMAGE_SUFFIXES, ImageSource
from pipeline.media.preprocess import Preprocessor
from pipeline.media.source import Source, SourceFrame
from pipeline.media.sources import open_source
from pipeline.models.manifest import LAYOUTS, PreprocessSpec
from pipeline.resources import shipped

#: So many pictures are compared, this many apart.
PICTURES, APART = 8, 10
#: Frames between two that are taken from a long video: what lies between has to be decoded too.
MOST_APART = 50
#: Width and height of a picture where the network takes any.
ANY_SIZE = 320
#: How a picture gets into a network that no manifest describes.
NO_MANIFEST = "BGR 0..255, stretched, as there is no manifest"
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
    first = picture_input(specs)
    chance = np.random.default_rng(_SEED)
    if first is None:
        if pictures is not None:
            raise ModelError(f"the network takes no picture, {pictures} cannot be given to it")
        noise = [{spec.name: _noise(spec, chance) for spec in specs} for _ in range(PICTURES)]
        return Samples(tuple(noise), f"noise (seed {_SEED}): no input is a picture")
    prepare, batch = preprocessor(first, preprocess), batch_of(first)
    runs = []
    for frame in frames(pictures or str(shipped("sample_videos") / "day.mp4"), PICTURES, APART):
        tensor = np.repeat(prepare(frame.picture)[0], batch, axis=0)
        runs.append({spec.name: _noise(spec, chance) for spec in specs} | {first.name: tensor})
    source = pictures or "the shipped sample video day.mp4"
    told = f"{len(runs)} pictures of {source}"
    if preprocess is None:
        told += f"; {NO_MANIFEST}"
    if len(specs) > 1:
        told += f"; noise (seed {_SEED}) in the other inputs"
    return Samples(tuple(runs), told)


def picture_input(specs: Sequence[TensorSpec]) -> TensorSpec | None:
    """The input that takes a picture, with its layout; None where there is none."""
    return next((replace(spec, layout=layout) for spec in specs if (layout := _layout(spec))), None)


def batch_of(spec: TensorSpec) -> int:
    """How many pictures that input takes at once; 1 where any number."""
    return max(spec.shape[spec.layout.index("n")], 1) if "n" in spec.layout else 1


def preprocessor(
    spec: TensorSpec,
    preprocess: PreprocessSpec | None,
    size: tuple[int, int] | None = None,
) -> Preprocessor:
    """What makes an input of a picture.

    Args:
        spec: of the input, with its layout.
        preprocess: what the manifest says; None for BGR 0..255, stretched to the input.
        size: width and height, pixels, where the network takes any; None as the manifest says.
    """
    own = preprocess.size if preprocess else None
    size = size or own or (ANY_SIZE, ANY_SIZE)
    width, height = (
        other if spec.shape[spec.layout.index(axis)] == -1 else spec.shape[spec.layout.index(axis)]
        for axis, other in zip("wh", size, strict=True)
    )
    how = preprocess or PreprocessSpec(resize="stretch")
    return Preprocessor(how, width, height, spec.dtype, spec.layout)


def frames(pictures: str, count: int, apart: int | None = None) -> Iterator[SourceFrame]:
    """Frames of a video, an image, or whatever `open_source` opens.

    Args:
        pictures: the URI or path.
        count: at most so many.
        apart: every so many-th, the first one included; None to spread them over the source, where
            that says how long it is, but no more than `MOST_APART`.

    Raises:
        SourceError: they cannot be read.
    """
    with closing(_source(pictures)) as source:
        there = source.open().frames
        if apart is None:
            apart = APART if there is None else min(max(there // count, 1), MOST_APART)
        yield from islice(source.frames(), 0, count * apart, apart)


def _layout(spec: TensorSpec) -> str:
    """Of `LAYOUTS` that of an input that takes a picture; empty for any other."""
    if spec.dtype not in (np.float32, np.float16, np.uint8):
        return ""
    fitting = (layout for layout in LAYOUTS if len(layout) == len(spec.shape))
    layouts = [layout for layout in fitting if spec.shape[layout.index("c")] == 3]
    return spec.layout if spec.layout in layouts else (layouts or [""])[0]


def _noise(spec: TensorSpec, chance: np.random.Generator) -> NDArray[Any]:
    shape = tuple(1 if n == -1 else n for n in spec.shape)
    if spec.dtype.kind == "f":
        return chance.standard_normal(shape).astype(spec.dtype)
    return chance.integers(0, 2, shape).astype(spec.dtype)


def _source(pictures: str) -> Source:
    path = Path(pictures)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], 1.0, pictures)
    return open_source(pictures)

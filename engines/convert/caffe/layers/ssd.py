"""What the Single Shot MultiBox Detector adds (Liu et al., ECCV 2016, arXiv:1512.02325)."""

from __future__ import annotations

from math import sqrt

import numpy as np

from engines.convert.caffe.building import Work
from engines.convert.caffe.text import Message

#: A 1024×1024 feature map with 16 priors each; a real network has some ten thousand.
_MOST_PRIORS = 1 << 24


def normalize(work: Work) -> None:
    """x / sqrt(Σ x² + eps) · learned factor; the sum over channels, or over the whole picture."""
    work.require(rank=4)
    parameters, shape = work.parameters("norm_param"), work.shapes[0]
    axes = [1, 2, 3] if parameters.boolean("across_spatial", True) else [1]
    shared = parameters.boolean("channel_shared", True)
    factors = work.blob(0, "factors", (1, 1 if shared else shape[1], 1, 1))
    source = work.inputs[0]
    length = work.node("ReduceSumSquare", source, axes=axes, keepdims=1)
    total = work.node("Add", length, work.constant(parameters.number("eps", 1e-10)))
    unit = work.node("Div", source, work.node("Sqrt", total))
    work.give(work.node("Mul", unit, work.constant(factors)), shape)


def prior_box(work: Work) -> None:
    """Boxes at each place of a feature map, and their variances: constants, (1, 2, 4 N).

    Boxes are xyxy in fractions of the picture; the second row has what each coordinate's delta is
    multiplied with.
    """
    work.require(bottoms=2, rank=4)
    parameters = work.parameters("prior_box_param")
    rows, columns = work.shapes[0][2:]
    if len(work.shapes[1]) != 4:
        raise work.error(f"expected a picture as second bottom, found {list(work.shapes[1])}")
    height, width = _size(parameters, work.shapes[1])
    sizes = _sizes(work, parameters)
    if rows * columns * len(sizes) > _MOST_PRIORS:
        raise work.error(f"{len(sizes)} boxes at {rows}×{columns} places are too many")
    step_y, step_x = _steps(work, parameters, height / rows, width / columns)
    offset = parameters.number("offset", 0.5)
    y, x = np.mgrid[:rows, :columns].astype(np.float64) + offset
    centres = np.stack([x * step_x, y * step_y], axis=-1)[:, :, None]
    half = np.array(sizes) / 2
    boxes = np.concatenate([centres - half, centres + half], axis=-1) / ([width, height] * 2)
    if parameters.boolean("clip", False):
        boxes = boxes.clip(0, 1)
    variances = parameters.numbers("variance") or [0.1]
    if len(variances) not in (1, 4):
        raise work.error(f"variance: expected 1 or 4 numbers, found {len(variances)}")
    variance = np.broadcast_to(variances if len(variances) == 4 else variances * 4, boxes.shape)
    constant = work.constant(np.stack([boxes.ravel(), variance.ravel()])[None])
    work.give(constant, (1, 2, boxes.size))


def _size(parameters: Message, picture: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the picture, pixels."""
    both = parameters.integer("img_size", 0)
    height, width = parameters.integer("img_h", both), parameters.integer("img_w", both)
    return (height, width) if height and width else (picture[2], picture[3])


def _steps(work: Work, parameters: Message, down: float, right: float) -> tuple[float, float]:
    """Distance between places, pixels; by default the picture divided evenly."""
    both = parameters.number("step", 0.0)
    y, x = parameters.number("step_h", both), parameters.number("step_w", both)
    if y < 0 or x < 0:
        raise work.error(f"step: expected numbers above 0, found {y:g} and {x:g}")
    return (y, x) if y and x else (down, right)


def _sizes(work: Work, parameters: Message) -> list[tuple[float, float]]:
    """Width and height of the boxes at one place, pixels, in SSD's order."""
    ratios = [1.0]
    for ratio in parameters.numbers("aspect_ratio"):
        if ratio <= 0:
            raise work.error(f"aspect_ratio: expected a number above 0, found {ratio:g}")
        if all(abs(ratio - other) >= 1e-6 for other in ratios):
            ratios += [ratio, 1 / ratio] if parameters.boolean("flip", True) else [ratio]
    smallest, largest = parameters.numbers("min_size"), parameters.numbers("max_size")
    if not smallest or min(smallest) <= 0:
        raise work.error(f"min_size: expected numbers above 0, found {smallest[:8]}")
    if largest and (
        len(largest) != len(smallest) or any(b <= a for a, b in zip(smallest, largest, strict=True))
    ):
        raise work.error(f"max_size: expected one above each min_size, found {largest[:8]}")
    if len(smallest) * len(ratios) > _MOST_PRIORS:
        raise work.error(f"{len(smallest)} sizes in {len(ratios)} ratios are too many")
    sizes: list[tuple[float, float]] = []
    for index, size in enumerate(smallest):
        sizes.append((size, size))
        if largest:
            between = sqrt(size * largest[index])
            sizes.append((between, between))
        sizes += [(size * sqrt(ratio), size / sqrt(ratio)) for ratio in ratios[1:]]
    return sizes

"""Layers that move elements and compute nothing, and those that enlarge or shrink a picture."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np

from engines.convert.caffe.building import Work
from engines.convert.caffe.text import MAX_INT

_BIGGEST_ZOOM = 1 << 10


def identity(work: Work) -> None:
    """A layer that does something in training only."""
    work.require()
    work.give(work.inputs[0], work.shapes[0])


def silence(work: Work) -> None:
    """Takes tensors and gives none, so that they are no outputs."""
    work.require()


def split(work: Work) -> None:
    """The same tensor several times."""
    work.require()
    for _ in work.layer.tops:
        work.give(work.inputs[0], work.shapes[0])


def concat(work: Work) -> None:
    """Several tensors one after another along an axis, the channels by default."""
    work.require()
    parameters, shape = work.parameters("concat_param"), work.shapes[0]
    axis = parameters.integer("axis", parameters.integer("concat_dim", 1), low=-8)
    axis = work.axis(axis, len(shape))
    others = {(*s[:axis], *s[axis + 1 :]) for s in work.shapes if len(s) > axis}
    if len(others) != 1 or len({len(s) for s in work.shapes}) != 1:
        raise work.error(f"expected bottoms that differ in axis {axis} only, found {work.shapes}")
    length = sum(s[axis] for s in work.shapes)
    tensor = work.node("Concat", *work.inputs, axis=axis)
    work.give(tensor, (*shape[:axis], length, *shape[axis + 1 :]))


def slice_axis(work: Work) -> None:
    """Parts of a tensor along an axis, cut at given points or into equal lengths."""
    work.require()
    parameters, shape = work.parameters("slice_param"), work.shapes[0]
    axis = work.axis(
        parameters.integer("axis", parameters.integer("slice_dim", 1), low=-8), len(shape)
    )
    tops, length = len(work.layer.tops), shape[axis]
    points = parameters.integers("slice_point")
    if not points and tops and length % tops == 0:
        points = list(range(length // tops, length, length // tops))
    edges = [0, *points, length]
    if len(edges) != tops + 1 or any(a >= b for a, b in pairwise(edges)):
        raise work.error(f"cannot cut {length} elements at {points[:8]} into {tops} parts")
    for begin, end in pairwise(edges):
        part = _cut(work, [axis], [begin], [end])
        work.give(part, (*shape[:axis], end - begin, *shape[axis + 1 :]))


def crop(work: Work) -> None:
    """The first tensor cut to the second's size from an axis on."""
    work.require(bottoms=2)
    parameters, shape, reference = work.parameters("crop_param"), *work.shapes[:2]
    axis = work.axis(parameters.integer("axis", 2, low=-8), len(shape))
    offsets = parameters.integers("offset") or [0]
    axes = list(range(axis, len(shape)))
    if len(offsets) == 1:
        offsets = offsets * len(axes)
    if len(offsets) != len(axes) or len(reference) != len(shape):
        raise work.error(f"{len(offsets)} offsets for {len(axes)} axes of {work.shapes}")
    ends = [offset + reference[i] for offset, i in zip(offsets, axes, strict=True)]
    if any(end > shape[i] for end, i in zip(ends, axes, strict=True)):
        raise work.error(f"cannot cut {list(reference)} out of {list(shape)} at {offsets}")
    work.give(_cut(work, axes, offsets, ends), (*shape[:axis], *reference[axis:]))


def permute(work: Work) -> None:
    """Axes in another order; those not named follow in theirs."""
    work.require()
    shape = work.shapes[0]
    order = work.parameters("permute_param").integers("order", 0, len(shape) - 1)
    if len(set(order)) != len(order):
        raise work.error(f"order: {order} names an axis twice")
    order += [axis for axis in range(len(shape)) if axis not in order]
    work.give(work.node("Transpose", work.inputs[0], perm=order), tuple(shape[i] for i in order))


def flatten(work: Work) -> None:
    """Axes `axis` to `end_axis` as one."""
    work.require()
    parameters, shape = work.parameters("flatten_param"), work.shapes[0]
    first = work.axis(parameters.integer("axis", 1, low=-8), len(shape))
    last = work.axis(parameters.integer("end_axis", -1, low=-8), len(shape))
    if first > last:
        raise work.error(f"axis {first} lies behind end_axis {last}")
    result = (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])
    if first == 1 and len(result) == 2:
        work.give(work.node("Flatten", work.inputs[0], axis=1), result)
    else:
        _reshape(work, result)


def reshape(work: Work) -> None:
    """Another shape for some axes: 0 keeps an axis, -1 takes what is left."""
    work.require()
    parameters, shape = work.parameters("reshape_param"), work.shapes[0]
    dims = parameters.message("shape").integers("dim", low=-1)
    axis = parameters.integer("axis", 0, low=-8)
    first = axis + len(shape) + 1 if axis < 0 else axis
    count = parameters.integer("num_axes", -1, low=-1)
    end = len(shape) if count == -1 else first + count
    if not 0 <= first <= end <= len(shape) or dims.count(-1) > 1:
        raise work.error(f"axes {first} to {end} of {list(shape)} as {dims}")
    if any(n == 0 and first + i >= end for i, n in enumerate(dims)):
        raise work.error(f"dim: 0 keeps an axis that is not there: {dims} of {list(shape)}")
    middle = [shape[first + i] if n == 0 else n for i, n in enumerate(dims)]
    known = prod(n for n in (*shape[:first], *middle, *shape[end:]) if n != -1)
    if known == 0 or prod(shape) % known or (-1 not in middle and known != prod(shape)):
        raise work.error(f"cannot make {dims} of {list(shape[first:end])}")
    middle = [prod(shape) // known if n == -1 else n for n in middle]
    _reshape(work, (*shape[:first], *middle, *shape[end:]))


def interpolate(work: Work) -> None:
    """Bilinear resizing in which the corners stay corners (DeepLab's layer)."""
    work.require(rank=4)
    parameters, (batch, channels, height, width) = work.parameters("interp_param"), work.shapes[0]
    if parameters.integer("pad_beg", 0, low=-MAX_INT) or parameters.integer(
        "pad_end", 0, low=-MAX_INT
    ):
        raise work.error("pad_beg and pad_end cannot be converted")
    size = [parameters.integer(name, 0) for name in ("height", "width")]
    if not all(size):
        zoom = parameters.integer("zoom_factor", 1, 1, _BIGGEST_ZOOM)
        shrink = parameters.integer("shrink_factor", 1, 1, _BIGGEST_ZOOM)
        size = [(n - 1) // shrink + 1 for n in (height, width)]
        size = [n + (n - 1) * (zoom - 1) for n in size]
    result = (batch, channels, *size)
    tensor = work.node(
        "Resize",
        work.inputs[0],
        "",
        "",
        work.constant(result, np.int64),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    )
    work.give(tensor, result)


def upsample(work: Work) -> None:
    """Each element several times in both directions."""
    work.require(rank=4)
    scale = work.parameters("upsample_param").integer("scale", 2, 1, _BIGGEST_ZOOM)
    batch, channels, height, width = work.shapes[0]
    tensor = work.node(
        "Resize",
        work.inputs[0],
        "",
        work.constant([1, 1, scale, scale]),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    work.give(tensor, (batch, channels, height * scale, width * scale))


def _reshape(work: Work, shape: tuple[int, ...]) -> None:
    # 0 copies an axis, so that the batch's length stays open to who changes the network's input.
    same = shape[:1] == work.shapes[0][:1]
    dims = work.constant([0, *shape[1:]] if same else shape, np.int64)
    work.give(work.node("Reshape", work.inputs[0], dims), shape)


def _cut(work: Work, axes: list[int], begins: list[int], ends: list[int]) -> str:
    indices = (work.constant(values, np.int64) for values in (begins, ends, axes))
    return work.node("Slice", work.inputs[0], *indices)

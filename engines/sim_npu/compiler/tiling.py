"""Layers in tiles that fit the memory on the chip.

A tile is some rows and some channels of a layer's output. The tiles of the same channels follow
each other, so that weights are read once, and the input once for every group of channels. Layers
are not merged: each reads its inputs from the external memory and writes its output there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, prod

from engines.errors import ProgramError
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.profiles import Profile

#: Bytes of a number, by what the device computes in.
WIDTHS = {"int8": 1, "fp16": 2, "fp32": 4}
#: Layers with weights.
WEIGHTED = ("conv", "gemm")


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one layer is cut.

    Attributes:
        rows: of the output, in a tile.
        channels: of the output, in a tile.
        tiles: that the layer takes.
        tile_bytes: on the chip at a time: inputs, output and weights of a tile.
        moved_bytes: to and from the external memory, for the whole layer.
    """

    rows: int
    channels: int
    tiles: int
    tile_bytes: int
    moved_bytes: int


def tile(layer: Layer, tensors: Mapping[str, Tensor], profile: Profile) -> Tiling:
    """The largest tiles of a layer that fit.

    Rows are halved first: that only reads the rows at the seams twice. Channels are halved where
    not even a row of all of them fits: that reads the input again.

    Raises:
        ProgramError: one row of one channel does not fit.
    """
    width = WIDTHS[profile.precision]
    output = tensors[layer.output].shape
    if layer.operator == "reshape":
        return Tiling(*_rows_and_channels(output), 1, 0, 0)
    if layer.operator not in WEIGHTED:
        moved = width * sum(prod(tensors[name].shape) for name in (*layer.inputs, layer.output))
        tiles = ceil(moved / profile.on_chip_bytes)
        rows, channels = _rows_and_channels(output)
        return Tiling(ceil(rows / tiles), channels, tiles, ceil(moved / tiles), moved)
    for rows, channels in _candidates(output):
        parts = _parts(layer, tensors, rows, channels)
        if width * sum(parts) <= profile.on_chip_bytes:
            return _weighted(layer, tensors, rows, channels, width)
    raise ProgramError(
        f"layer {layer.name}: one row of one channel takes {width * sum(parts)} bytes, "
        f"{profile.name} has {profile.on_chip_bytes} on the chip; split its input channels"
    )


def _rows_and_channels(shape: tuple[int, ...]) -> tuple[int, int]:
    """Of an image (n, channels, rows, columns), or of anything else as one row."""
    return (shape[2], shape[1]) if len(shape) == 4 else (1, shape[-1])


def _candidates(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Ever smaller tiles, as (rows, channels)."""
    rows, channels = _rows_and_channels(shape)
    while rows > 1:
        yield rows, channels
        rows = ceil(rows / 2)
    while channels > 1:
        yield 1, channels
        channels = ceil(channels / 2)
    yield 1, 1


def _parts(
    layer: Layer, tensors: Mapping[str, Tensor], rows: int, channels: int
) -> tuple[int, int, int]:
    """Numbers in the input, the weights and the output of a tile; constants count as weights."""
    source, output = tensors[layer.inputs[0]].shape, tensors[layer.output].shape
    weights = layer.constants["weights"]
    constants = channels * sum(
        array.nbytes / len(weights) for array in layer.constants.values() if len(array)
    )
    if layer.operator == "gemm":
        return source[1], ceil(constants), channels
    groups, down = layer.attributes["groups"], layer.attributes["strides"][0]
    reach = (weights.shape[2] - 1) * layer.attributes["dilations"][0] + 1
    read_rows = min((rows - 1) * down + reach, source[2])
    read_channels = ceil(channels * groups / output[1]) * weights.shape[1]
    return read_rows * source[3] * read_channels, ceil(constants), rows * output[3] * channels


def _weighted(
    layer: Layer, tensors: Mapping[str, Tensor], rows: int, channels: int, width: int
) -> Tiling:
    output = tensors[layer.output].shape
    all_rows, all_channels = _rows_and_channels(output)
    down, across = ceil(all_rows / rows), ceil(all_channels / channels)
    read, weights, written = _parts(layer, tensors, rows, channels)
    tiles = output[0] * down * across
    moved = width * (tiles * read + across * weights + prod(output))
    return Tiling(rows, channels, tiles, width * (read + weights + written), moved)

"""What runs where, in which tiles, for how long."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import ProgramError
from engines.sim_npu import artefact, profiles
from engines.sim_npu.artefact import Layer, Tensor
from engines.sim_npu.compiler import calibration, passes, quantise, simulate
from engines.sim_npu.compiler.partition import consolidate, partition
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.compiler.schedule import external_bytes, multiply_adds, schedule
from engines.sim_npu.compiler.tiling import tile
from tests.engines.sim_npu.compiler import drawn
from tests.engines.sim_npu.compiler.running import run

NNIE = profiles.find("hi3559a-nnie")


def quantised(model: onnx.ModelProto, *keep_float: str) -> quantise.Quantised:
    feeds = [drawn.image(seed) for seed in range(4)]
    passes.run(model, feeds[0])
    ranges = calibration.ranges(calibration.collect(model, feeds), "min-max")
    return consolidate(quantise.quantise(model, ranges, keep_float=keep_float))


@settings(max_examples=40)
@given(drawn.models(), st.data())
def test_segments_give_what_the_simulation_gives(
    model: onnx.ModelProto, data: st.DataObject
) -> None:
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    passes.run(rewritten, drawn.image())
    outputs = [node.output[0] for node in rewritten.graph.node]
    keep = data.draw(st.lists(st.sampled_from(outputs), max_size=3, unique=True))
    network = quantised(model, *keep)
    parts = partition(network)
    places = [segment.on_device for segment in parts.segments]
    assert all(a != b for a, b in pairwise(places))
    (output,) = (value.name for value in model.graph.output)
    feeds = drawn.image(7)
    whole = artefact.Artefact(
        NNIE.name, NNIE.digest, "fixed", "", network.tensors, parts.segments, (), ()
    )
    found, expected = run(whole, feeds)[output], Reference(model).run(feeds)[output]
    apart = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    simulated = Reference(simulate.fake_quantised(network)).run(feeds)[output]
    loss = np.linalg.norm(simulated - expected) / np.linalg.norm(expected)
    # The device rounds halves up where the simulation rounds them to even.
    assert apart <= 2 * loss + 0.02


def test_a_network_the_device_has_whole_is_one_segment() -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    drawing.relu()
    network = quantised(drawing.model())
    parts = partition(network)
    (segment,) = parts.segments
    assert (segment.inputs, segment.outputs) == (("image",), (drawing.last,))
    sizes = [prod(network.tensors[name].shape) for name in ("image", drawing.last)]
    assert [(cut.source, cut.target, cut.bytes, cut.change) for cut in parts.cuts] == [
        (-1, 0, sizes[0], "quantise"),
        (0, 1, sizes[1], "dequantise"),
    ]
    assert parts.bytes_copied == sum(sizes)


def test_a_layer_on_the_host_cuts_the_network_in_three() -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    drawing.add("Exp", drawing.last)
    between = drawing.last
    drawing.conv()
    parts = partition(quantised(drawing.model()))
    assert [segment.on_device for segment in parts.segments] == [True, False, True]
    changes = [cut.change for cut in parts.cuts]
    assert changes == ["quantise", "dequantise", "quantise", "dequantise"]
    host = onnx.load_from_string(parts.segments[1].network)
    assert [node.op_type for node in host.graph.node] == ["Exp"]
    assert parts.segments[2].inputs == (between,)


def test_a_stretch_without_a_convolution_is_left_to_the_host() -> None:
    drawing = drawn.Drawing(0)
    drawing.conv()
    drawing.add("Exp", drawing.last)
    drawing.relu()
    network = quantised(drawing.model())
    assert [segment.on_device for segment in partition(network).segments] == [True, False]
    refusal = network.refusals[drawing.last]
    assert str(refusal).startswith(f"Relu {drawing.last}: no convolution or dense layer stands")


def conv(channels: int, out: int, rows: int, groups: int = 1) -> tuple[Layer, dict[str, Tensor]]:
    attributes = {"strides": [1, 1], "pads": [1] * 4, "dilations": [1, 1], "groups": groups}
    constants = {"weights": np.ones((out, channels // groups, 3, 3), np.int8)}
    tensors = {
        "x": Tensor((1, channels, rows, 32), 1.0, 0),
        "y": Tensor((1, out, rows, 32), 1.0, 0),
    }
    return Layer("c", "conv", ("x",), "y", attributes, constants), tensors


def test_a_small_layer_is_one_tile_and_moves_everything_once() -> None:
    layer, tensors = conv(8, 4, 16)
    tiling = tile(layer, tensors, NNIE)
    assert (tiling.rows, tiling.channels, tiling.tiles) == (16, 4, 1)
    assert tiling.moved_bytes == 8 * 16 * 32 + 4 * 8 * 9 + 4 * 16 * 32


@given(
    st.sampled_from([8, 64, 256]),
    st.sampled_from([8, 64]),
    st.integers(1, 100),
    st.sampled_from([1, 8]),
    st.integers(15, 20),
)
def test_tiles_fit_and_cover(channels: int, out: int, rows: int, groups: int, bits: int) -> None:
    layer, tensors = conv(channels, out, rows, groups)
    profile = replace(NNIE, on_chip_bytes=2**bits)
    tiling = tile(layer, tensors, profile)
    assert tiling.tile_bytes <= profile.on_chip_bytes
    assert tiling.tiles * tiling.rows * tiling.channels >= rows * out
    whole = tile(layer, tensors, replace(NNIE, on_chip_bytes=2**27))
    assert whole.tiles == 1
    assert tiling.moved_bytes >= whole.moved_bytes


def test_what_fits_in_no_tile_is_named() -> None:
    layer, tensors = conv(256, 8, 16)
    with pytest.raises(ProgramError, match=r"layer c: one row of one channel takes \d+ bytes, hi3"):
        tile(layer, tensors, replace(NNIE, on_chip_bytes=2048))


def test_cycles_are_those_of_the_slower_of_arithmetic_and_transfers() -> None:
    layer, tensors = conv(64, 64, 32)
    assert multiply_adds(layer, tensors) == 64 * 32 * 32 * 64 * 9
    (slot,) = schedule([layer], tensors, NNIE)
    assert slot.limit == "arithmetic"
    assert slot.layer.cycles == NNIE.layer_cycles + -(-slot.macs // NNIE.macs_per_cycle)
    (slow,) = schedule([layer], tensors, replace(NNIE, bandwidth=1e8))
    assert slow.limit == "bandwidth"
    per_cycle = 1e8 / NNIE.cores / NNIE.clock_hz
    wanted = NNIE.layer_cycles + slow.tiling.moved_bytes / per_cycle
    assert slow.layer.cycles == pytest.approx(wanted, abs=1)
    first, second = schedule([layer, layer], tensors, NNIE)
    assert second.start == first.layer.cycles


def test_external_memory_holds_what_is_alive() -> None:
    tensors = {name: Tensor((1, 1, 10, 10), 1.0, 0) for name in "abcd"}
    layers = [
        Layer("1", "lookup", ("a",), "b", {}, {"table": np.zeros(256, np.int8)}),
        Layer("2", "lookup", ("b",), "c", {}, {"table": np.zeros(256, np.int8)}),
        Layer("3", "add", ("c", "b"), "d"),
    ]
    assert external_bytes(layers, tensors) == 3 * 100 + 2 * 256
    small = replace(NNIE, on_chip_bytes=1024, memory_bytes=2**20)
    tensors = {name: Tensor((1, 1, 1000, 1000), 1.0, 0) for name in "abcd"}
    with pytest.raises(ProgramError, match="takes 3000512 bytes of external memory, hi3559a-nnie"):
        schedule(layers, tensors, small)

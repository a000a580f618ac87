"""Who is named first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import inf

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.convert import graph as onnx_graph
from engines.program import Tensors
from engines.sim_npu.artefact import Layer
from engines.sim_npu.compiler import calibration, passes
from engines.sim_npu.compiler.blame import blame
from engines.sim_npu.compiler.calibration import Range
from engines.sim_npu.compiler.partition import consolidate
from engines.sim_npu.compiler.quantise import Quantised, quantise
from engines.tensor import TensorSpec
from tests.conftest import REPOSITORY
from tests.engines.sim_npu.compiler import drawn

PICO = REPOSITORY / "models" / "street-pico"

Spoil = Callable[[Quantised, dict[str, Range], Layer], Quantised]


@cache
def detector() -> tuple[Quantised, dict[str, Range], Tensors]:
    """The shipped detector for half of its picture, quantised well."""
    model = onnx_graph.load(PICO / "street-pico.onnx")
    image = np.load(PICO / "test_vector.npz")["images"][:, :, 64:256, 64:448]
    feeds = {"images": image.astype(np.float32)}
    onnx_graph.pin(model, [TensorSpec("images", image.shape, np.dtype("float32"))])
    passes.run(model, feeds)
    ranges = calibration.ranges(calibration.collect(model, [feeds]), "min-max")
    return consolidate(quantise(model, ranges)), ranges, feeds


def narrow(quantised: Quantised, ranges: dict[str, Range], layer: Layer) -> Quantised:
    low, high = ranges[layer.output]
    return consolidate(quantise(quantised.model, ranges | {layer.output: (low / 10, high / 10)}))


def wide(quantised: Quantised, ranges: dict[str, Range], layer: Layer) -> Quantised:
    low, high = ranges[layer.output]
    return consolidate(quantise(quantised.model, ranges | {layer.output: (low * 100, high * 100)}))


def halved(quantised: Quantised, ranges: dict[str, Range], layer: Layer) -> Quantised:
    """Every other channel without its weights."""
    weights = layer.constants["weights"].copy()
    weights[::2] = 0
    return with_constants(quantised, layer, weights=weights)


def without_bias(quantised: Quantised, ranges: dict[str, Range], layer: Layer) -> Quantised:
    return with_constants(quantised, layer, bias=np.zeros_like(layer.constants["bias"]))


def with_constants(quantised: Quantised, layer: Layer, **constants: np.ndarray) -> Quantised:
    spoilt = replace(layer, constants=layer.constants | constants)
    layers = {
        name: [spoilt if one is layer else one for one in made]
        for name, made in quantised.layers.items()
    }
    return replace(quantised, layers=layers)


@settings(max_examples=8)
@given(st.sampled_from([narrow, wide, halved, without_bias]), st.data())
def test_a_spoilt_layer_is_the_first(spoil: Spoil, data: st.DataObject) -> None:
    quantised, ranges, feeds = detector()
    innocent = {one.layer: one for one in blame(quantised, [feeds])}
    layers = [layer for made in quantised.layers.values() for layer in made]
    suspects = [layer for layer in layers if layer.name in innocent]
    if spoil in (halved, without_bias):
        suspects = [layer for layer in suspects if "weights" in layer.constants]
    layer = data.draw(st.sampled_from(suspects))
    first, *others = blame(spoil(quantised, ranges, layer), [feeds])
    assert first.layer == layer.name
    assert first.snr_db < innocent[layer.name].snr_db
    assert sum(one.share for one in (first, *others)) == pytest.approx(1)


def drawing(*layers: str) -> drawn.Drawing:
    found = drawn.Drawing(1)
    for name in layers:
        getattr(found, name)()
    return found


def made(network: drawn.Drawing, keep_float: tuple[str, ...] = ()) -> Quantised:
    model = network.model()
    passes.run(model, drawn.image())
    ranges = calibration.ranges(calibration.collect(model, [drawn.image()]), "min-max")
    return quantise(model, ranges, keep_float=keep_float)


@settings(max_examples=10)
@given(st.lists(st.sampled_from(["conv", "relu", "silu", "pool", "skip", "concat"]), max_size=5))
def test_what_is_kept_in_float_is_rounded_no_more(layers: list[str]) -> None:
    network = drawing("conv", *layers)
    quantised = made(network)
    output = {layer.name: layer.output for found in quantised.layers.values() for layer in found}
    for one in blame(quantised, [drawn.image()])[:3]:
        assert output[one.layer] not in made(network, one.keep).tensors


def test_a_layer_that_moves_numbers_is_innocent() -> None:
    quantised = made(drawing("conv", "pool", "conv"))
    assert [layer.operator for (layer,) in quantised.layers.values()] == [
        "conv",
        "max_pool",
        "conv",
    ]
    assert {one.operator for one in blame(quantised, [drawn.image()])} == {"conv"}


def test_a_small_part_of_an_output_counts_as_much_as_a_large_one() -> None:
    network = drawing("conv")
    source = network.last
    boxes = network.add("Mul", source, np.float32(1000))
    scores = network.add("Tanh", source)
    network.add("Concat", boxes, scores, axis=1)
    quantised = made(network)
    coarse = replace(quantised.tensors[scores], scale=0.5, zero_point=0)
    spoilt = replace(quantised, tensors=quantised.tensors | {scores: coarse})
    assert blame(spoilt, [drawn.image()])[0].layer == scores


def test_outputs_whose_shape_depends_on_the_data() -> None:
    network = drawing("conv")
    conv = network.last
    network.add("NonZero", network.add("Greater", conv, np.float32(0)))
    network.add("Cast", network.last, to=onnx.TensorProto.FLOAT)
    (one,) = blame(made(network), [drawn.image()])
    assert (one.layer, one.share) == (conv, 1)
    assert 30 < one.snr_db < inf


def test_without_probes_nobody_is_to_blame() -> None:
    (one,) = blame(made(drawing("conv")), [])
    assert (one.share, one.snr_db) == (0, inf)

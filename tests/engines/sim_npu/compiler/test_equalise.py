"""Channels of one range: the network computes what it did, and eight bits lose less of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from engines.sim_npu.compiler import calibration, equalise, passes, quantise
from engines.sim_npu.compiler.inspection import inspect
from engines.sim_npu.compiler.reference import Reference, difference
from tests.engines.sim_npu.compiler import drawn

FEEDS = [drawn.image(seed) for seed in range(4)]


def passed(drawing: drawn.Drawing) -> onnx.ModelProto:
    model = drawing.model()
    passes.run(model, FEEDS[0])
    return model


def unlike(*layers: str) -> drawn.Drawing:
    """A convolution whose channels differ a thousandfold, and what follows."""
    drawing = drawn.Drawing(7)
    drawing.conv()
    channels = drawing.shape[1]
    factors = np.logspace(-2, 1, channels, dtype=np.float32)
    drawing.weights["t0.1"] *= factors[:, None, None, None]
    drawing.weights["t0.2"] *= factors
    for name in layers:
        getattr(drawing, name)()
    last = drawing.nodes[-1]
    if last.op_type == "Conv":  # which takes what is small as seriously
        shape = (-1, 1, 1, 1) if layers[-1] == "depthwise" else (1, -1, 1, 1)
        drawing.weights[last.input[1]] /= factors.reshape(shape)
    return drawing


@settings(max_examples=40)
@given(drawn.models())
def test_what_a_network_computes_stays(model: onnx.ModelProto) -> None:
    passes.run(model, FEEDS[0])
    before = Reference(model).run(drawn.image(9))
    fitted = equalise.equalise(model, FEEDS)
    for name, found in Reference(model).run(drawn.image(9)).items():
        assert difference(found, before[name]) < 1e-5
    for name, histogram in calibration.collect(model, FEEDS).items():
        if name in fitted:
            assert (histogram.lowest, histogram.highest) == pytest.approx((-1, 1), abs=1e-4)


def loss(model: onnx.ModelProto, *, equalised: bool) -> float:
    fitted = equalise.equalise(model, FEEDS) if equalised else {}
    ranges = calibration.ranges(calibration.collect(model, FEEDS), "min-max") | fitted
    quantised = quantise.quantise(model, ranges)
    assert not quantised.refusals
    return inspect(quantised, [drawn.image(9)])[-1]["snr_db"]


@pytest.mark.parametrize("between", [("silu",), ("silu", "pool"), ("hard_swish_gate",)])
@pytest.mark.parametrize("reader", ["depthwise", "conv"])
def test_unlike_channels_lose_less(between: tuple[str, ...], reader: str) -> None:
    drawing = unlike(*between, reader)
    apart = loss(passed(drawing), equalised=True) - loss(passed(drawing), equalised=False)
    assert apart > 3


def test_a_tensor_that_is_added_keeps_its_channels() -> None:
    drawing = unlike("silu")
    other = drawing.last
    drawing.depthwise()
    drawing.add("Add", drawing.last, other)
    model = passed(drawing)
    equalise.equalise(model, FEEDS)
    (activation,) = (node for node in model.graph.node if node.domain == equalise.DOMAIN)
    after = onnx.numpy_helper.to_array(
        next(entry for entry in model.graph.initializer if entry.name == activation.input[3])
    )
    np.testing.assert_array_equal(after, 1)


def test_a_function_of_each_channel_is_a_table_of_each() -> None:
    model = passed(unlike("silu", "depthwise"))
    fitted = equalise.equalise(model, FEEDS)
    ranges = calibration.ranges(calibration.collect(model, FEEDS), "min-max") | fitted
    quantised = quantise.quantise(model, ranges)
    (table,) = (
        layer.constants["table"]
        for layers in quantised.layers.values()
        for layer in layers
        if layer.operator == "lookup"
    )
    (activation,) = (node for node in model.graph.node if node.domain == equalise.DOMAIN)
    assert table.shape == (quantised.tensors[activation.output[0]].shape[1], 256)
    assert (np.ptp(table.astype(int), axis=1) > 100).all()

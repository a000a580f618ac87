"""Biases that take back what rounding adds on average."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.sim_npu import operators
from engines.sim_npu.artefact import Tensor
from engines.sim_npu.compiler import calibration, passes, quantise, simulate
from engines.sim_npu.compiler.correction import correct_biases
from engines.sim_npu.compiler.reference import Reference
from tests.engines.sim_npu.compiler import drawn

FEEDS = [{"image": np.abs(drawn.image(seed)["image"])} for seed in range(8)]


def quantised(*layers: str, coarse: float = 1) -> quantise.Quantised:
    drawing = drawn.Drawing(3)
    for name in layers:
        getattr(drawing, name)()
    model = drawing.model()
    passes.run(model, FEEDS[0])
    found = calibration.ranges(calibration.collect(model, FEEDS), "min-max")
    low, high = found["image"]
    ranges = found | {"image": (low * coarse, high * coarse)}
    return quantise.quantise(model, ranges, per_channel=False)


def mean_errors(network: quantise.Quantised) -> np.ndarray:
    """Of each channel of the output, away from its borders, where windows hold padding."""
    exact, rounded = Reference(network.model), Reference(simulate.fake_quantised(network))
    apart = [
        found - expected
        for feeds in FEEDS
        for found, expected in zip(
            rounded.run(feeds).values(), exact.run(feeds).values(), strict=True
        )
    ]
    values = np.concatenate(apart)
    values = values[..., 1:-1, 1:-1] if values.ndim == 4 else values
    return np.abs(values.mean(axis=(0, *range(2, values.ndim))))


@pytest.mark.parametrize("layers", [("conv",), ("depthwise",), ("dense",)])
def test_the_mean_comes_back(layers: tuple[str, ...]) -> None:
    """Inputs have few of the levels and a mean that is not zero."""
    network = quantised(*layers, coarse=8.0)
    before, after = mean_errors(network), mean_errors(correct_biases(network, FEEDS))
    assert after.mean() < before.mean() / 2


def test_only_biases_change() -> None:
    network = quantised("conv", "relu", "conv")
    corrected = correct_biases(network, FEEDS)
    assert replace(corrected, layers=network.layers) == network
    for name, layers in network.layers.items():
        for old, new in zip(layers, corrected.layers[name], strict=True):
            same = old.constants.keys() - {"bias"}
            assert all(old.constants[key] is new.constants[key] for key in same)


def test_a_bias_that_would_overflow_stays() -> None:
    network = quantised("conv")
    ((layer,),) = network.layers.values()
    largest = np.full_like(layer.constants["bias"], operators.MAX_SUM - 300_000)
    full = replace(layer, constants=layer.constants | {"bias": largest})
    source = network.tensors["image"]
    tensors = network.tensors | {"image": Tensor(source.shape, source.scale * 1e-6, 0)}
    network = replace(network, layers={layer.output: [full]}, tensors=tensors)
    ((found,),) = correct_biases(network, FEEDS).layers.values()
    assert (np.abs(found.constants["bias"].astype(np.int64)) <= largest).all()
    assert (found.constants["bias"] == largest).any()

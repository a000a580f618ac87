"""What is told of every tensor: held against numpy over the same values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.sim_npu.artefact import Tensor
from engines.sim_npu.compiler import calibration, grid, passes
from engines.sim_npu.compiler.inspection import BINS, inspect
from engines.sim_npu.compiler.quantise import Quantised, quantise
from engines.sim_npu.compiler.reference import Reference
from engines.sim_npu.compiler.simulate import fake_quantised
from tests.engines.sim_npu.compiler import drawn


def made(*layers: str, keep_float: tuple[str, ...] = ()) -> Quantised:
    network = drawn.Drawing(1)
    for name in layers:
        getattr(network, name)()
    return calibrated(network.model(), keep_float)


def calibrated(model: onnx.ModelProto, keep_float: tuple[str, ...] = ()) -> Quantised:
    passes.run(model, drawn.image())
    ranges = calibration.ranges(calibration.collect(model, [drawn.image()]), "min-max")
    return quantise(model, ranges, keep_float=keep_float)


def counted(values: np.ndarray, tensor: Tensor) -> list[int]:
    """Values a bin of four numbers of the grid, one beyond either end of it."""
    stored = np.floor(values.astype(np.float64) / tensor.scale + tensor.zero_point + 0.5)
    places = np.clip((stored + 128) // 4, -1, BINS).astype(int)
    return [int((places == place).sum()) for place in range(-1, BINS + 1)]


def test_every_tensor_of_the_device() -> None:
    quantised, feeds = made("conv", "silu", "conv"), [drawn.image(seed) for seed in (5, 6)]
    rows = json.loads(json.dumps(inspect(quantised, iter(feeds)), allow_nan=False))
    names = [row["tensor"] for row in rows]
    assert names == [layer.output for made in quantised.layers.values() for layer in made]
    exact, rounded = Reference(quantised.model, names), fake_quantised(quantised)
    rounded = Reference(rounded, names)
    for row in rows:
        name, tensor = row["tensor"], quantised.tensors[row["tensor"]]
        expected = np.concatenate([exact.run(feed)[name] for feed in feeds])
        found = np.concatenate([rounded.run(feed)[name] for feed in feeds])
        noise = np.square(expected - found, dtype=np.float64).sum()
        signal, other = (np.square(a, dtype=np.float64).sum() for a in (expected, found))
        assert row["snr_db"] == pytest.approx(10 * np.log10(signal / noise))
        cosine = np.sum(expected * found, dtype=np.float64) / np.sqrt(signal * other)
        assert row["cosine"] == pytest.approx(cosine)
        assert row["shape"] == list(tensor.shape)
        assert (row["scale"], row["zero_point"]) == (tensor.scale, tensor.zero_point)
        assert (row["lowest"], row["highest"]) == (expected.min(), expected.max())
        np.testing.assert_allclose(
            [row["below"], *row["float32"], row["above"]], counted(expected, tensor), atol=1
        )
        np.testing.assert_array_equal([0, *row["int8"], 0], counted(found, tensor))


@settings(max_examples=20)
@given(st.floats(1e-3, 0.9))
def test_what_a_narrow_range_cuts_off_is_counted(part: float) -> None:
    quantised = made("conv")
    ((name, (layer,)),) = quantised.layers.items()
    whole = quantised.tensors[name]
    narrow = grid.fit(whole.shape, *grid.levels(whole)[[0, -1]] * part)
    (row,) = inspect(
        replace(quantised, tensors=quantised.tensors | {name: narrow}), [drawn.image()]
    )
    assert layer.output == row["tensor"]
    assert row["below"] + row["above"] > 0
    values = Reference(quantised.model).run(drawn.image())[name]
    low, high = grid.levels(narrow)[[0, -1]]
    beyond = (values < low - narrow.scale) | (values > high + narrow.scale)
    assert beyond.sum() <= row["below"] + row["above"]
    assert sum(row["int8"]) == row["below"] + sum(row["float32"]) + row["above"] == values.size


def test_an_output_of_the_host_has_no_grid() -> None:
    quantised = made("conv", "relu", "conv", keep_float=("t2",))
    *_, row = inspect(quantised, [drawn.image()])
    assert row["tensor"] == "t2"
    assert row["snr_db"] > 20
    assert row["scale"] is row["float32"] is row["above"] is None


def test_outputs_of_any_shape_and_type() -> None:
    network = drawn.Drawing(1)
    network.conv()
    conv = network.last
    none = network.add("NonZero", network.add("Greater", conv, np.float32(1e9)))
    network.add("Cast", none, to=onnx.TensorProto.FLOAT)
    model = network.model()
    whole = onnx.helper.make_tensor_value_info(none, onnx.TensorProto.INT64, None)
    model.graph.output.append(whole)
    *_, last, other = inspect(calibrated(model), [drawn.image()])
    assert {last["tensor"], other["tensor"]} == {none, network.last}
    assert last["lowest"] is other["lowest"] is None
    spread = network.add("NonZero", conv)
    network.add("Cast", spread, to=onnx.TensorProto.FLOAT)
    *_, row = inspect(calibrated(network.model()), [drawn.image()])
    assert (row["tensor"], row["cosine"]) == (network.last, None)


def test_equal_tensors_and_no_probes_are_told_without_infinity() -> None:
    for probes in ([], [{"image": np.zeros(drawn.SHAPE, np.float32)}]):
        rows = inspect(made("conv"), probes)
        json.dumps(rows, allow_nan=False)
        assert rows[0]["tensor"] == "t0"

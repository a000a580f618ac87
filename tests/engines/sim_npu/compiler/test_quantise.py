"""Integers that stand for a network: what they are, what they lose, what stays in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engines.convert import graph as onnx_graph
from engines.errors import ProgramError
from engines.sim_npu import operators
from engines.sim_npu.artefact import Tensor
from engines.sim_npu.compiler import calibration, grid, passes, qdq, quantise, simulate
from engines.sim_npu.compiler.inspection import inspect
from engines.sim_npu.compiler.partition import consolidate
from engines.sim_npu.compiler.reference import Reference
from engines.tensor import TensorSpec
from tests.conftest import REPOSITORY
from tests.engines.sim_npu.compiler import drawn


def made(model: onnx.ModelProto, **options: object) -> quantise.Quantised:
    """A network after all passes, calibrated with four inputs."""
    feeds = [drawn.image(seed) for seed in range(4)]
    passes.run(model, feeds[0])
    ranges = calibration.ranges(calibration.collect(model, feeds), "min-max")
    return quantise.quantise(model, ranges, **options)


def drawing(*layers: str) -> drawn.Drawing:
    found = drawn.Drawing(1)
    for name in layers:
        getattr(found, name)()
    return found


@settings(max_examples=100)
@given(st.floats(1e-9, 1e6), st.sampled_from(["fixed", "float"]))
def test_constants_stand_for_their_ratio(ratio: float, rounding: str) -> None:
    constants = grid.rescaling(np.array([ratio]), rounding)
    if rounding == "float":
        assert constants["ratio"] == np.float32(ratio)
        return
    multiplier, shift = int(constants["multiplier"][0]), int(constants["shift"][0])
    assert 1 <= multiplier < 2**31
    assert 0 <= shift <= operators.MAX_SHIFT
    # Half a step of the multiplier, or the last bit that a multiplier of 32 bits would have had.
    assert abs(multiplier / 2.0**shift - ratio) <= max(2.0**-45, ratio * 2.0**-30)


def test_a_sum_s_ratios_share_their_shift() -> None:
    constants = grid.shared_rescaling(np.array([0.7, 0.001]))
    assert constants["shift"].shape == (1,)
    found = constants["multiplier"] / 2.0 ** constants["shift"]
    np.testing.assert_allclose(found, [0.7, 0.001], rtol=1e-6)


def test_a_ratio_beyond_the_multiplier_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"a ratio of 1e\+12 is too large"):
        grid.rescaling(np.array([1e12]), "fixed")


@settings(max_examples=100)
@given(st.floats(-1e3, 1e3), st.floats(0, 1e3))
def test_a_grid_covers_its_range_and_holds_zero(low: float, width: float) -> None:
    tensor = grid.fit((1,), low, low + width)
    levels = grid.levels(tensor)
    assert 0 in levels
    slack = tensor.scale * 0.51
    assert levels[0] - slack <= min(low, 0)
    assert levels[-1] + slack >= max(low + width, 0)
    np.testing.assert_array_equal(grid.quantise(levels, tensor), np.arange(-128, 128))


def test_a_channel_of_tiny_weights_and_a_large_bias_fits() -> None:
    weights, bias = np.full((1, 4), 1e-12), np.array([100.0])
    (scale,) = grid.weight_scales(weights, bias, 0.01)
    assert 100 / (scale * 0.01) <= 2**30 * (1 + 1e-6)


@pytest.mark.parametrize(("weight_scale", "runs"), [(1e-7, True), (1e-3, False)])
def test_a_bias_of_32_bits_gives_way_where_nobody_sees_it(weight_scale: float, runs: bool) -> None:
    model = drawing("conv").model()
    conv, steps = model.graph.node[0], np.float32(weight_scale) * np.float32(0.05)
    stored = np.array(numpy_helper.to_array(model.graph.initializer[0]) > 0, np.float32)
    bias = np.full(len(stored), -(2.0**31) * steps, np.float32)
    for entry, array in zip(model.graph.initializer, (stored * weight_scale, bias), strict=True):
        entry.CopyFrom(numpy_helper.from_array(array.astype(np.float32), entry.name))
    scales = {conv.input[1]: np.full(len(stored), weight_scale, np.float32)}
    tensors = {"image": Tensor(drawn.SHAPE, 0.05, 0), conv.output[0]: Tensor((), 0.2, 0)}
    found = quantise.quantise(model, {}, qdq.Given(tensors, scales))
    assert bool(found.layers) == runs
    for (layer,) in found.layers.values():
        sums = grid.largest_sums(layer.constants["weights"], layer.constants["bias"], 0)
        assert sums.max() < operators.MAX_SUM


@pytest.mark.parametrize("factor", [0, 1e-42])
def test_a_channel_that_does_nothing_does_nothing(factor: float) -> None:
    network = drawing("conv")
    network.weights["t0.1"][0] *= np.float32(factor)
    network.weights["t0.2"][0] = 0
    (row,) = inspect(made(network.model()), [drawn.image(9)])
    assert row["snr_db"] > 30


@settings(max_examples=40)
@given(drawn.models(), st.sampled_from(operators.ROUNDINGS))
def test_drawn_networks_keep_most_of_their_signal(model: onnx.ModelProto, rounding: str) -> None:
    quantised = made(model, rounding=rounding)
    assert all(row["cosine"] > 0.9 for row in inspect(quantised, [drawn.image(9)]))
    for layers in quantised.layers.values():
        for layer in layers:
            row = operators.OPERATORS[layer.operator]
            assert {name for name, _ in row.attributes} == set(layer.attributes)
            assert {*row.constants, *row.rescaling(rounding)} == set(layer.constants)
            assert row.inputs in (0, len(layer.inputs))
            assert {*layer.inputs, layer.output} <= set(quantised.tensors)


def integers(layer_input: np.ndarray, layer: object, x: Tensor, y: Tensor) -> np.ndarray:
    """A 3x3 convolution of the device, sum by sum."""
    weights, bias = layer.constants["weights"], layer.constants["bias"]
    padded = np.pad(layer_input.astype(np.int64) - x.zero_point, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((1, len(weights), *layer_input.shape[2:]), np.int64)
    for o, row, column in np.ndindex(out.shape[1:]):
        window = padded[0, :, row : row + 3, column : column + 3]
        total = int((window * weights[o].astype(np.int64)).sum() + bias[o])
        shift = int(layer.constants["shift"][o])
        scaled = (total * int(layer.constants["multiplier"][o]) + 2 ** (shift - 1)) >> shift
        out[0, o, row, column] = min(max(scaled + y.zero_point, -128), 127)
    return out


def test_a_convolution_s_integers_give_what_float_gives() -> None:
    quantised = made(drawing("conv", "relu").model())
    (conv, relu) = quantised.layers.values()
    assert relu == []
    x, y = (quantised.tensors[name] for name in (conv[0].inputs[0], conv[0].output))
    image = drawn.image(3)["image"]
    found = integers(grid.quantise(image, x), conv[0], x, y)
    (expected,) = Reference(quantised.model).run({"image": image}).values()
    assert np.abs((found - y.zero_point) * y.scale - expected).max() < 4 * max(x.scale, y.scale)
    simulated = Reference(simulate.fake_quantised(quantised)).run({"image": image})
    (values,) = simulated.values()
    assert np.abs(grid.quantise(values, y) - found).max() <= 1


def test_what_stays_on_the_host_is_named_with_the_remedy() -> None:
    network = drawing("conv")
    network.add("Exp", network.last)
    network.add("Softmax", network.last, axis=1)
    refusals = list(made(network.model()).refusals.values())
    assert [refusal.operator for refusal in refusals] == ["Exp", "Softmax"]
    assert str(refusals[1]) == (
        "Softmax t2: the device has no such operator; "
        "export the logits; the softmax belongs to decoding"
    )


def test_boxes_and_scores_are_joined_in_float() -> None:
    network = drawing("conv")
    conv = network.last
    network.add("Mul", conv, np.float32(100))
    network.add("Concat", conv, network.last, axis=1)
    (refusal,) = made(network.model()).refusals.values()
    assert refusal.reason == "it joins ranges that differ 100-fold, for one grid of 256"
    network.shape = (1, 2 * network.shape[1], *network.shape[2:])
    network.conv()  # what weighs them again needs them on the device
    assert not made(network.model()).refusals


def test_keep_float() -> None:
    model = drawing("conv", "relu", "depthwise", "relu").model()
    loss_of = {}
    for kept in ([], ["t0", "t1"], ["t2"]):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        quantised = made(copy, keep_float=kept)
        assert set(quantised.refusals) == set(kept)
        assert not {"t0", "t2"} & set(quantised.layers) & set(kept)
        loss_of[len(kept)] = inspect(quantised, [drawn.image(9)])[-1]["snr_db"]
    assert loss_of[2] > loss_of[0]
    with pytest.raises(ProgramError, match="keep_float: the network has no layer nowhere"):
        quantise.quantise(model, {}, keep_float=["nowhere"])


def test_one_scale_for_all_weights_of_a_layer() -> None:
    network = drawing("conv")
    network.weights["t0.1"][0] *= np.float32(0.01)
    model, loss_of = network.model(), {}
    for per_channel in (True, False):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        quantised = made(copy, per_channel=per_channel)
        (scales,) = quantised.weight_scales.values()
        assert (len(np.unique(scales)) > 1) == per_channel
        largest = np.abs(quantised.layers["t0"][0].constants["weights"]).max((1, 2, 3))
        assert largest.max() == 127
        assert (largest[0] == 127) == per_channel
        loss_of[per_channel] = inspect(quantised, [drawn.image(9)])[0]["snr_db"]
    assert loss_of[True] > loss_of[False]


def test_a_rectifier_with_a_limit_the_grid_does_not_end_at_is_a_table() -> None:
    network = drawing("conv")
    network.add("Clip", network.last, np.float32(-0.5), np.float32(0.5))
    quantised = made(network.model())
    assert [layers[0].operator for layers in quantised.layers.values()] == ["conv", "lookup"]


def test_given_integers_are_taken_as_they_are() -> None:
    arrays = {
        "w": np.random.default_rng(0).integers(-127, 128, (2, 4, 1, 1)).astype(np.int8),
        "ws": np.array([0.01, 0.03], np.float32),
        "b": np.array([100, -50], np.int32),
        "bs": np.array([0.0005, 0.0015], np.float32),
        "xs": np.float32(0.05),
        "xz": np.uint8(120),
        "ys": np.float32(0.04),
        "yz": np.uint8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["x"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wr"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs"], ["br"], axis=0),
        helper.make_node("Conv", ["x", "wr", "br"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "ys", "yz"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "ys", "yz"], ["y"]),
    ]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", drawn.SHAPE), ("y", None))
    ]
    weights = [numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()]
    graph = helper.make_graph(nodes, "qdq", infos[:1], infos[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (expected,) = Reference(model).run(drawn.image()).values()
    given = qdq.strip(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    quantised = quantise.quantise(model, {}, given)
    (layer,) = quantised.layers["c"]
    np.testing.assert_array_equal(layer.constants["weights"], arrays["w"])
    np.testing.assert_array_equal(layer.constants["bias"], arrays["b"])
    tensors = quantised.tensors
    assert (tensors["image"].scale, tensors["image"].zero_point) == (pytest.approx(0.05), -8)
    assert (tensors["y"].scale, tensors["y"].zero_point) == (pytest.approx(0.04), -128)
    (found,) = Reference(simulate.fake_quantised(quantised)).run(drawn.image()).values()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_shipped_detector() -> None:
    model = onnx_graph.load(REPOSITORY / "models" / "street-pico" / "street-pico.onnx")
    onnx_graph.pin(model, [TensorSpec("images", (1, 3, 288, 512), np.dtype("float32"))])
    vector = np.load(REPOSITORY / "models" / "street-pico" / "test_vector.npz")
    feeds = [{"images": vector["images"].astype(np.float32)}]
    passes.run(model, feeds[0])
    histograms = calibration.collect(model, feeds)
    for method in calibration.METHODS:
        ranges = calibration.ranges(histograms, method)
        quantised = consolidate(quantise.quantise(model, ranges))
        assert "Conv" not in {refusal.operator for refusal in quantised.refusals.values()}
        assert inspect(quantised, feeds)[-1]["snr_db"] > 20


@pytest.mark.assets
def test_d2go_comes_quantised(assets: Path) -> None:
    model = onnx_graph.load(assets / "models" / "d2go" / "d2go_frcnn_stage1_int8qdq.onnx")
    onnx_graph.pin(model, [TensorSpec("image", (1, 3, 96, 128), np.dtype("float32"))])
    feeds = {"image": np.random.default_rng(0).uniform(0, 255, (1, 3, 96, 128)).astype("float32")}
    passes.run(model, feeds)
    expected = Reference(model).run(feeds)
    quantised = quantise.quantise(model, {}, qdq.strip(model))
    assert [refusal.operator for refusal in quantised.refusals.values()] == ["Sub"]
    found = Reference(simulate.fake_quantised(quantised)).run(feeds)
    for name, values in expected.items():
        assert np.corrcoef(values.ravel(), found[name].ravel())[0, 1] > 0.99

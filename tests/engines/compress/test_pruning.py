"""Pruning takes whole channels out, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from engines.compress import Compressed, prune
from engines.convert import graph as onnx_graph
from engines.errors import OptionError, ProgramError
from engines.sim_npu.compiler.reference import Reference, difference
from engines.tensor import TensorSpec
from tests.conftest import REPOSITORY
from tests.engines.compress.networks import INPUTS, LAYERS, Network, models, outputs, zeroed

EQUAL = 1e-5


def require_equal(model: onnx.ModelProto, pruned: Compressed) -> None:
    onnx.checker.check_model(pruned.model, full_check=True)
    found, expected = outputs(pruned.model), outputs(zeroed(model, pruned))
    assert found.keys() == expected.keys()
    assert max(difference(found[name], expected[name]) for name in found) <= EQUAL


@settings(max_examples=100)
@given(models(), st.floats(0.05, 0.95))
def test_drawn_networks_compute_what_zeroed_ones_do(model: onnx.ModelProto, ratio: float) -> None:
    before = model.SerializeToString()
    pruned = prune(model, INPUTS, ratio=ratio)
    assert model.SerializeToString() == before
    require_equal(model, pruned)
    gone = sum(int((~stays).sum()) for stays in pruned.channels.values())
    assert (pruned.parameters[1] < pruned.parameters[0]) == (gone > 0)
    assert all(stays.any() for stays in pruned.channels.values())


@pytest.mark.parametrize("layer", [name for name in LAYERS if name not in ("grouped", "shuffled")])
def test_channels_go_through(layer: str) -> None:
    network = Network(3)
    network.wide(8)
    getattr(network, layer)()
    network.wide(4)
    model = network.model()
    pruned = prune(model, INPUTS, ratio=0.5)
    first = model.graph.node[0].output[0]
    assert 1 <= pruned.channels[first].sum() < 8
    require_equal(model, pruned)


@pytest.mark.parametrize(
    ("layer", "reason"), [("grouped", "has 2 groups"), ("shuffled", "regroups the channels")]
)
def test_what_is_not_understood_is_left_alone_and_named(layer: str, reason: str) -> None:
    network = Network(3)
    getattr(network, layer)()
    network.wide(4)
    network.wide(4)
    pruned = prune(network.model(), INPUTS, ratio=0.5)
    assert pruned.channels["t0"].all()
    assert reason in pruned.left["t0"]
    assert len(pruned.changes) == 2  # the last but one, and what reads it


def test_what_a_branch_reads_stays() -> None:
    network = Network(0)
    network.wide(8)
    network.weights["offset"] = network.normal(8, 1, 1)
    shown = helper.make_tensor_value_info("shown", onnx.TensorProto.FLOAT, None)
    node = helper.make_node("Add", [network.last, "offset"], ["shown"])
    branch = helper.make_graph([node], "branch", [], [shown])
    network.wide(4)
    network.outputs = [network.wide(4)]
    network.add("If", np.array(True), then_branch=branch, else_branch=branch)
    model = network.model()
    pruned = prune(model, INPUTS, ratio=0.5)
    assert pruned.left["t0"] == "If t3 is not understood"
    assert pruned.channels["t1"].sum() == 2
    require_equal(model, pruned)


def test_the_weakest_filters_go() -> None:
    network = Network(0)
    network.wide(4)
    network.wide(3)
    model = network.model()
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[[1, 3]] *= 0.01
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(weight, model.graph.initializer[0].name)
    )
    pruned = prune(model, INPUTS, ratio=0.5)
    assert pruned.channels["t0"].tolist() == [True, False, True, False]
    first, second = pruned.changes
    assert (first.before, first.after) == ((4, 4, 3, 3), ((2, 4, 3, 3),))
    assert (second.before, second.after) == ((3, 4, 3, 3), ((3, 2, 3, 3),))
    assert first.parameters == (4 * 4 * 9 + 4, 2 * 4 * 9 + 2)
    assert first.multiply_adds == (4 * 4 * 9 * 64, 2 * 4 * 9 * 64)
    assert first.kept > 0.98
    assert pruned.left == {"t1": "it makes the output t1"}
    assert pruned.touched == {"t0", "t1"}
    assert pruned.multiply_adds[1] * 2 == pruned.multiply_adds[0]


def test_norms_can_disagree() -> None:
    """One large weight beats many small ones in L2, and loses in L1."""
    network = Network(0)
    network.wide(2)
    network.wide(2)
    model = network.model()
    weight = np.full((2, 4, 3, 3), 0.1, np.float32)
    weight[1] = 0
    weight[1, 0, 0, 0] = 1
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(weight, model.graph.initializer[0].name)
    )
    kept = {
        norm: prune(model, INPUTS, ratio=0.5, norm=norm).channels["t0"] for norm in ("l1", "l2")
    }
    assert kept["l1"].tolist() == [True, False]
    assert kept["l2"].tolist() == [False, True]


def test_layers_that_shall_stay_keep_their_channels() -> None:
    network = Network(0)
    for _ in range(3):
        network.wide(8)
    pruned = prune(network.model(), INPUTS, ratio=0.5, keep=["t0"])
    assert pruned.channels["t0"].all()
    assert pruned.left["t0"] == "it shall stay"
    assert pruned.channels["t1"].sum() == 4


@pytest.mark.parametrize(("multiple", "kept"), [(1, 5), (2, 6), (4, 8), (8, 8), (16, 10)])
def test_groups_keep_a_multiple(multiple: int, kept: int) -> None:
    network = Network(0)
    network.wide(10)
    network.wide(4)
    pruned = prune(network.model(), INPUTS, ratio=0.5, multiple=multiple)
    assert pruned.channels["t0"].sum() == kept


def test_weights_that_two_layers_share_are_shared_afterwards() -> None:
    network = Network(0)
    weight, bias = network.normal(8, 4, 1, 1), network.normal(8)
    one = network.add("Conv", "image", weight, bias)
    other = network.add("Relu", "image")
    network.add("Conv", other, weight, bias)
    network.nodes[-1].input[1:] = network.nodes[0].input[1:]
    network.add("Add", one, network.last)
    network.shape = (1, 8, 8, 8)
    network.wide(4)
    pruned = prune(network.model(), INPUTS, ratio=0.5)
    first, _, second, *_ = pruned.model.graph.node
    assert list(first.input[1:]) == list(second.input[1:])


@pytest.mark.assets
@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("yolox_nano/yolox_nano_opencv_zoo.onnx", (1, 3, 416, 416)),
        ("nanodet_m/nanodet_m_416.onnx", (1, 3, 416, 416)),
        ("d2go/d2go_frcnn_stage1_fp32.onnx", (1, 3, 192, 256)),
        ("d2go/d2go_frcnn_stage2_fp32.onnx", (2, 112, 6, 6)),
        ("reid/osnet_x0_25_msmt17.onnx", (1, 3, 256, 128)),
        ("reid/person-reidentification-retail-0248.onnx", (1, 256, 128, 3)),
    ],
)
def test_real_networks_compute_what_zeroed_ones_do(
    assets: Path, path: str, shape: tuple[int, ...]
) -> None:
    model = onnx_graph.load(assets / "models" / path)
    (value,) = onnx_graph.inputs(model.graph)
    pruned = prune(model, [TensorSpec(value.name, shape, np.dtype(np.float32))], ratio=0.4)
    assert pruned.multiply_adds[1] < 0.7 * pruned.multiply_adds[0]
    values = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    expected = Reference(zeroed(model, pruned)).run({value.name: values})
    for name, found in Reference(pruned.model).run({value.name: values}).items():
        assert difference(found, expected[name]) <= EQUAL


def test_a_share_of_the_multiply_adds_is_found() -> None:
    path = REPOSITORY / "models/reid-pico/reid-pico.onnx"
    inputs = (TensorSpec("crops", (1, 3, 128, 64), np.dtype(np.float32)),)
    pruned = prune(onnx_graph.load(path), inputs, macs=0.5)
    before, after = pruned.multiply_adds
    assert 0.47 <= after / before <= 0.5
    crops = np.zeros((2, 3, 128, 64), np.float32)
    assert Reference(pruned.model).run({"crops": crops})["embeddings"].shape == (2, 128)


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({}, "either a ratio"),
        ({"ratio": 0.5, "macs": 0.5}, "either a ratio"),
        ({"ratio": 0.0}, "ratio: expected a share between 0 and 1, got 0"),
        ({"ratio": 1.0}, "got 1"),
        ({"ratio": float("nan")}, "got nan"),
        ({"macs": -0.5}, "macs: expected a share between 0 and 1, got -0.5"),
        ({"ratio": 0.5, "norm": "l3"}, "one of l1, l2, got 'l3'"),
        ({"ratio": 0.5, "multiple": 0}, "multiple: expected 1 or more"),
        ({"ratio": 0.5, "keep": ["t00"]}, "no layer 't00'; did you mean 't0'?"),
    ],
)
def test_a_wrong_wish_is_refused(wishes: dict[str, object], complaint: str) -> None:
    network = Network(0)
    network.wide()
    with pytest.raises(OptionError, match=complaint.replace("?", r"\?")):
        prune(network.model(), INPUTS, **wishes)  # type: ignore[arg-type]


def test_more_than_can_go_is_refused() -> None:
    network = Network(0)
    network.wide(8)
    network.wide(8)
    with pytest.raises(ProgramError, match=r"leaves at least 0\.125 of its multiply-adds"):
        prune(network.model(), INPUTS, macs=0.1)


def test_a_network_without_layers_is_refused() -> None:
    network = Network(0)
    network.relu()
    with pytest.raises(ProgramError, match="no Conv, Gemm, MatMul with constant weights"):
        prune(network.model(), INPUTS, ratio=0.5)


def test_a_quantised_network_is_refused() -> None:
    network = Network(0)
    network.add("QuantizeLinear", "image", np.float32(0.1), np.int8(0))
    network.add("DequantizeLinear", network.last, np.float32(0.1), np.int8(0))
    network.wide()
    with pytest.raises(ProgramError, match=r"quantised \(QuantizeLinear t0\): compress"):
        prune(network.model(), INPUTS, ratio=0.5)

"""Factorising splits layers by their singular values, where that saves multiply-adds."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.compress import factorise
from engines.convert import graph as onnx_graph
from engines.errors import OptionError, ProgramError
from engines.sim_npu.compiler.reference import difference
from tests.engines.compress.networks import INPUTS, Network, models, outputs

EQUAL = 1e-5
RANK = 3


def of_rank(network: Network, rows: int, columns: int, rank: int = RANK) -> np.ndarray:
    return network.normal(rows, rank) @ network.normal(rank, columns)


def conv(network: Network) -> None:
    weight = of_rank(network, 12, 16)[:, :, None, None]
    network.add("Conv", network.last, weight, network.normal(12), strides=[2, 1], pads=[0, 1, 1, 0])


def flat(network: Network) -> str:
    return network.add("Flatten", network.add("GlobalAveragePool", network.last))


def gemm(network: Network) -> None:
    x, weight = flat(network), of_rank(network, 16, 12)
    network.add("Gemm", x, weight, network.normal(12), alpha=0.5, beta=2.0)


def gemm_transposed(network: Network) -> None:
    network.add("Gemm", flat(network), of_rank(network, 12, 16), transB=1)


def matmul(network: Network) -> None:
    network.add("MatMul", flat(network), of_rank(network, 16, 12))


@pytest.mark.parametrize("layer", [conv, gemm, gemm_transposed, matmul])
def test_a_layer_of_low_rank_becomes_two_that_compute_the_same(layer: object) -> None:
    network = Network(1)
    network.wide(16)
    layer(network)  # type: ignore[operator]
    model = network.model()
    before = model.SerializeToString()
    found = factorise(model, INPUTS, energy=0.9999)
    assert model.SerializeToString() == before
    [change] = found.changes
    ranks = {n for shape in change.after for n in shape if n > 1} - {12, 16}
    assert ranks == {RANK}
    assert change.kept == pytest.approx(1)
    assert change.multiply_adds[1] / change.multiply_adds[0] == RANK * (12 + 16) / (12 * 16)
    assert found.touched == {network.last}
    onnx.checker.check_model(found.model, full_check=True)
    for name, expected in outputs(model).items():
        assert difference(outputs(found.model)[name], expected) <= EQUAL


@settings(max_examples=30)
@given(models(), st.floats(0.05, 0.9))
def test_drawn_networks_run_and_cost_less(model: onnx.ModelProto, ratio: float) -> None:
    found = factorise(model, INPUTS, ratio=ratio)
    onnx.checker.check_model(found.model, full_check=True)
    expected = outputs(model)
    assert {n: a.shape for n, a in outputs(found.model).items()} == {
        n: a.shape for n, a in expected.items()
    }
    for change in found.changes:
        assert change.multiply_adds[1] <= (1 - ratio) * change.multiply_adds[0]
    assert len(found.changes) + len(found.left) == len(
        [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    )


def test_what_is_kept_is_what_the_product_of_both_still_holds() -> None:
    network = Network(2)
    network.add("Conv", "image", network.normal(64, 4, 1, 1))
    network.add("Conv", network.last, network.normal(48, 64, 1, 1))
    model = network.model()
    found = factorise(model, INPUTS, ratio=0.4)
    change = found.changes[-1]
    weights = onnx_graph.constants(found.model.graph)
    inner, outer = (weights[f"t1/{part}/weight"].squeeze() for part in ("inner", "outer"))
    whole = onnx_graph.constants(model.graph)["t1.1"].squeeze()
    lost = np.square(whole - outer @ inner).sum() / np.square(whole).sum()
    assert change.kept == pytest.approx(1 - lost, abs=1e-6)
    assert inner.shape == (int(0.6 * 48 * 64 / (48 + 64)), 64)


def test_the_rank_follows_the_energy() -> None:
    values = np.array([8, 4, 2, 1, *[0.01] * 12], np.float32)
    network = Network(0)
    network.wide(16)
    network.add("Conv", network.last, np.diag(values)[:, :, None, None])
    squares = np.cumsum(values.astype(float) ** 2) / (values.astype(float) ** 2).sum()
    for rank in (1, 2, 3):
        energy = float((squares[rank - 2] if rank > 1 else 0) + squares[rank - 1]) / 2
        [change] = factorise(network.model(), INPUTS, energy=energy).changes
        assert change.after == ((rank, 16, 1, 1), (16, rank, 1, 1))
        assert change.kept == pytest.approx(squares[rank - 1])


def test_layers_that_gain_nothing_are_left_alone_and_named() -> None:
    network = Network(0)
    network.wide(8)
    network.grouped()
    network.add("Conv", network.last, np.eye(6, dtype=np.float32)[:, :, None, None])
    network.add("Conv", network.last, network.normal(1, 6, 1, 1))
    network.add("Conv", network.last, np.full((9, 1, 1, 1), np.nan, np.float32))
    found = factorise(network.model(), INPUTS, energy=0.99)
    assert found.left == {
        "t0": "a kernel of 3x3",
        "t1": "a kernel of 3x3",
        "t2": "a convolution of 2 groups",
        "t3": "it needs rank 6 of 6, which saves below 3",
        "t4": "it is too small to be split",
        "t5": "it has weights that are no numbers",
    }
    assert not found.changes
    assert not found.touched


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({}, "either an energy"),
        ({"energy": 0.9, "ratio": 0.5}, "either an energy"),
        ({"energy": 1.0}, "energy: expected a share between 0 and 1, got 1"),
        ({"ratio": -1.0}, "ratio: expected a share between 0 and 1, got -1"),
        ({"ratio": float("nan")}, "got nan"),
    ],
)
def test_a_wrong_wish_is_refused(wishes: dict[str, float], complaint: str) -> None:
    network = Network(0)
    network.wide()
    with pytest.raises(OptionError, match=complaint):
        factorise(network.model(), INPUTS, **wishes)


def test_a_network_without_layers_is_refused() -> None:
    network = Network(0)
    network.relu()
    with pytest.raises(ProgramError, match="no Conv, Gemm, MatMul with constant weights"):
        factorise(network.model(), INPUTS, energy=0.9)

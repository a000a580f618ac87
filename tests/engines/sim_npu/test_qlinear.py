"""The rounding ``float`` against ONNX Runtime's quantised kernels, one layer at a time.

Most kernels are exact: what they compute is what ONNX says. QLinearMul and QLinearAveragePool work
in an order of their own, so that where the exact result lies between two numbers they may take the
other; their tests say how often that was.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.sim_npu.artefact import Layer
from tests.engines.sim_npu import qlinear
from tests.engines.sim_npu.layers import (
    MOVES,
    Case,
    convolutions,
    moves,
    numbers,
    pairs,
    pools,
    products,
    run,
    small,
    tensors,
)


def with_true_ratios(case: Case, nudge: float = 1.0) -> Case:
    """The case with ratios that come from scales, as ONNX Runtime has them, or a little off."""
    constants, attributes = case.layer.constants, case.layer.attributes
    if case.layer.operator in ("add", "mul") or "ratio" not in constants:
        return case
    x, y = (np.float32(case.tensors[name].scale) for name in "xy")
    if case.layer.operator == "average_pool":
        ratio = np.array([x / (y * np.float32(np.prod(attributes["kernel"])))])
    else:
        ratio = x * (constants["ratio"] * y / x) / y
    constants = constants | {"ratio": ratio * np.float32(nudge)}
    return case._replace(layer=replace(case.layer, constants=constants))


def at_ties(case: Case) -> Case:
    """The case with one scale for input and output: a mean of 2 n numbers often ends in 1/2."""
    y = replace(case.tensors["y"], scale=case.tensors["x"].scale)
    return case._replace(tensors=case.tensors | {"y": y})


@st.composite
def pictures(draw: st.DrawFn) -> Case:
    """Means of whole pictures."""
    shape = tuple(draw(small(1, most)) for most in (2, 5, 9, 9))
    drawn = {"x": draw(tensors(shape)), "y": draw(tensors((*shape[:2], 1, 1)))}
    window = {"kernel": list(shape[2:]), "strides": [1, 1], "pads": [0] * 4}
    x = numbers(np.random.default_rng(draw(small(0, 2**32))), shape)
    constants = {"ratio": np.ones(1, np.float32)}
    return Case(Layer("mean", "average_pool", ("x",), "y", window, constants), drawn, [x])


#: Random tables are no change of scale, which is all that QLinearConcat does.
JOINED = st.one_of(
    *(convolutions(), products(), pairs(), pools(), pictures(), pictures().map(at_ties)),
    moves(tuple(name for name in MOVES if name != "concat")),
)


@settings(max_examples=300)
@given(JOINED.map(with_true_ratios))
def test_each_layer(case: Case) -> None:
    """By QLinearConv, QGemm, QLinearGlobalAveragePool, MaxPool, or DQ, operation, Q."""
    inputs = dict(zip(case.layer.inputs, case.inputs, strict=True))
    expected = qlinear.run([case.layer], case.tensors, inputs)
    np.testing.assert_array_equal(run(case, "float"), expected["y"])


def alone(case: Case, kind: str, **attributes: object) -> NDArray[np.int8]:
    """What one of ONNX Runtime's own operators makes of a case."""
    graph = qlinear.Graph(case.tensors)
    inputs = [part for name in case.layer.inputs for part in (name, *graph.grid(name))]
    inputs += graph.grid("y")
    graph.add(kind, inputs, "y", domain=qlinear.MICROSOFT, **attributes)
    return graph.run(dict(zip(case.layer.inputs, case.inputs, strict=True)), ["y"])[0]


@settings(max_examples=60)
@given(products().map(with_true_ratios))
def test_product_without_bias_equals_qlinearmatmul(case: Case) -> None:
    nothing = {"bias": np.zeros_like(case.layer.constants["bias"])}
    layer = replace(case.layer, constants=case.layer.constants | nothing)
    graph = qlinear.Graph(case.tensors)
    x, (weights, scales, zeros), y = qlinear.weighted(graph, layer)
    turned = graph.add("Transpose", [weights], "turned", perm=[1, 0])
    graph.add("QLinearMatMul", [*x, turned, scales, zeros, *y], "y")
    (expected,) = graph.run({"x": case.inputs[0]}, ["y"])
    np.testing.assert_array_equal(run(case._replace(layer=layer), "float"), expected)


@settings(max_examples=60)
@given(pairs())
def test_pair_is_at_most_one_off_its_own_kernel(case: Case) -> None:
    """And only halfway between two numbers: the kernels add the zero point before they round.

    In 756,000 random numbers QLinearAdd differed in none, QLinearMul in 2.
    """
    found = run(case, "float").astype(int)
    kernel = alone(case, f"QLinear{case.layer.operator.capitalize()}")
    apart = np.abs(found - kernel)
    assert apart.max() <= 1
    (a, b), made = (
        [
            (values.astype(float) - case.tensors[name].zero_point) * case.tensors[name].scale
            for name, values in zip(case.layer.inputs, case.inputs, strict=True)
        ],
        case.tensors[case.layer.output].scale,
    )
    exact = (a + b if case.layer.operator == "add" else a * b) / made
    halfway = np.abs(exact - np.floor(exact) - 0.5) < 1e-4
    assert halfway[apart > 0].all()


@settings(max_examples=60)
@given(pools(("average_pool",)), st.booleans())
def test_mean_is_its_own_kernel_s_but_at_ties(case: Case, same_scale: bool) -> None:
    """QLinearAveragePool adds real numbers: 2.1 % of 249,284 numbers differed by one, all at ties.

    So its result lies between those of a ratio a little smaller and a little larger.
    """
    case = at_ties(case) if same_scale else case
    given_ = case.layer.attributes
    window = {"strides": given_["strides"], "pads": given_["pads"], "count_include_pad": 1}
    kernel = alone(case, "QLinearAveragePool", kernel_shape=given_["kernel"], **window)
    ends = [run(with_true_ratios(case, nudge), "float") for nudge in (1 - 1e-5, 1 + 1e-5)]
    assert (np.minimum(*ends) <= kernel).all()
    assert (kernel <= np.maximum(*ends)).all()

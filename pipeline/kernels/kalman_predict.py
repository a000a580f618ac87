"""kalman-predict: the Kalman filter's prediction of all tracks at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from engines.program import Kernel, Tensors
from engines.tensor import TensorSpec
from pipeline.kernels.onnx_graph import OnnxGraph
from pipeline.tracking.forms import Form
from pipeline.tracking.kalman import ROWS, Kalman

_FLOAT = np.dtype(np.float32)
INPUTS = (TensorSpec("state", (ROWS, 4, -1), _FLOAT), TensorSpec("dt", (1,), _FLOAT))
OUTPUTS = (TensorSpec("predicted", (ROWS, 4, -1), _FLOAT),)


def kalman_predict(form: Form) -> Kernel:
    """The state ``state`` (8, 4, N) of `Kalman` for this form, ``dt`` (1,) seconds later.

    Output ``predicted``: (8, 4, N) float32. The two forms differ by rounding, 1e-6 of the largest
    number of a row.
    """
    parameters = {"form": form.name}
    return Kernel("kalman-predict", parameters, INPUTS, OUTPUTS, _host(form), partial(_onnx, form))


def _host(form: Form) -> Callable[[Tensors], Tensors]:
    kalman = Kalman(form)

    def predict(tensors: Tensors) -> Tensors:
        state = tensors["state"].astype(np.float64)
        kalman.advance(state, float(tensors["dt"][0]))
        return {"predicted": state.astype(_FLOAT)}

    return predict


def _onnx(form: Form) -> bytes:
    graph = OnnxGraph("kalman-predict")
    node = graph.node
    p, v, z, p00, p01, p11, r, q = (graph.part("state", 0, row, row + 1) for row in range(ROWS))
    if form.shrinks:
        stays = np.ones((1, 4, 1))
        stays[:, form.shrinks] = 0.0  # where the sign of the next position decides
        ahead = node("Greater", node("Add", p, node("Mul", "dt", v)), 0.0)
        v = node("Mul", v, node("Max", node("Cast", ahead, to=graph.dtype(_FLOAT)), stays))
    shift = node("Mul", "dt", p11)
    dt2 = node("Mul", "dt", "dt")
    grown = node("Add", node("Mul", p01, 2.0), shift)
    noise = node("Mul", node("Mul", node("Mul", dt2, "dt"), 1 / 3), q)
    variance = node("Add", p00, node("Add", node("Mul", "dt", grown), noise))
    if any(form.noise.walk):
        u_of_r = np.divide(form.noise.walk, form.noise.measurement).reshape(1, 4, 1)
        walked = node("Mul", node("Mul", "dt", u_of_r), r)
        variance = node("Add", variance, walked)
    rows = (
        node("Add", p, node("Mul", "dt", v)),
        v,
        z,
        variance,
        node("Add", p01, node("Add", shift, node("Mul", node("Mul", dt2, 0.5), q))),
        node("Add", p11, node("Mul", "dt", q)),
        r,
        q,
    )
    node("Concat", *rows, axis=0, output="predicted")
    return graph.finish(INPUTS, OUTPUTS)
